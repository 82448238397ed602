"""Service 2: owns partitions, decides commands in offset order, commits to the ledger, publishes facts.

`batch` is the pure part: records and state in, one transaction and its replies out. `processor` performs
the I/O around it, `relay` carries committed facts out, `ticker` appends work whose time has come, and
`service` runs them for every partition that this process owns.
"""
