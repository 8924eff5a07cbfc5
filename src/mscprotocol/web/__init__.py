"""The doors over HTTP: REST, FHIR operations, CDS Hooks, and the coordinator's pages."""
