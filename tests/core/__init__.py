"""The core: from times, units and codes to findings, trend, dose and schedule."""
