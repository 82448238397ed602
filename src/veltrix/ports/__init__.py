"""The ports: what the services ask of the outside world, each a Protocol with its contract.

Units are in the names. Every method either does what its docstring says, raises one of the errors of
its module, or raises `asyncio.CancelledError`; after a cancellation the effect is unknown unless said.
Each port has one conformance suite under `tests/conformance`, which every adapter passes.
"""
