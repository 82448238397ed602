"""The pure core: what an event is, what may be asked, what is decided, what happened.

Nothing here performs I/O, reads a clock, draws a random number or knows a vendor. Time, chance and
secrets enter as arguments, so the same code runs in a service, in an audit and in the simulator.
Read in this order: `event`, `registration`, `commands`, `facts`, `outcomes`, `state`, `decider`.
"""
