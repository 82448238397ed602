"""The adapters: one room for each part of the outside world, behind the ports and nothing else."""
