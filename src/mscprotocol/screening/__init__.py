"""Screening: many patients from exported lists, each by the one pure function, and nothing lost on the way."""
