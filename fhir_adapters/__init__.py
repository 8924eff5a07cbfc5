"""Outside formats to our records and back: the only place that knows a wire format."""
