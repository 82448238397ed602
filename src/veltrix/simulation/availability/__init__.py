"""A model of months: how often what fails, how long it is felt, and by how many commands.

The explorer runs the real code for seconds under many faults; months of it would take weeks. So here only the
schedule of failures is simulated, with recovery times as `make rehearse` measured them on real engines.
"""
