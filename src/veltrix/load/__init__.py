"""`veltrix load`: many people register at once, and every answer is checked against the ledger.

`plan` draws from a seed what each person will ask, `run` asks it over real connections, `history` is
what was seen, `checker` says which promises it breaks, `report` prints it. `command.run_load` does all.
"""
