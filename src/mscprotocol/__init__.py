"""MSC protocol."""
