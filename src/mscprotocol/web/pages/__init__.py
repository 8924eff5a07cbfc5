"""The coordinator's pages: HTML that works without scripts, for people who log in."""
