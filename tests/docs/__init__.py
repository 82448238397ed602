"""Documents can fail."""
