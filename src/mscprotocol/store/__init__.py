"""What lasts: assessments with their input, the audit trail, and what each door must remember."""
