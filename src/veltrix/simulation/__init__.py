"""The explorer: the real services as a whole cluster in one process, on simulated time, with drawn faults."""
