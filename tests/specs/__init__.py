"""Truth and comparison tables that a person can read: each is a specification and a test."""
