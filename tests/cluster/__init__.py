"""A cluster of real engines on this machine."""
