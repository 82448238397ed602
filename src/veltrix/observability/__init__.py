"""What Veltrix says about itself: logs, metrics and traces. Services see facades, never the libraries."""
