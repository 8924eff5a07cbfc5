"""What the project writes for itself."""
