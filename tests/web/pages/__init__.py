"""The pages, in the process and in a real browser."""
