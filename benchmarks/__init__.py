"""Programs that measure Veltrix on this machine and print a table; they judge nothing."""
