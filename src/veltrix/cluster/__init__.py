"""A real cluster on one machine: engines and services as processes, and the faults that befall them."""
