"""FHIR adapters."""
