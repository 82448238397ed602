"""The keys of log lines: one name for one thing, in every service. A test holds every line against this list.

None of them may hold a person's data; `masking` would hide the value of a key that could.
"""

from __future__ import annotations

from typing import Final

ALWAYS: Final = {
    "time": "when, in UTC, to the millisecond",
    "level": "debug, info, warning or error: see docs/operations.md",
    "service": "who says it",
    "message": "what happened: one of the names in docs/operations.md",
}
FIELDS: Final = {
    "after_seq": "the number of the last fact before",
    "attempt": "which try it was, from 1",
    "by": "who asked for it",
    "carried_out": "the last order that was carried out",
    "channel": "the way that a notice leaves",
    "command": "a command's id",
    "data": "the data directory",
    "detail": "how an attempt ended, in the channel's words",
    "engine": "ledger, vault, log, Kafka, PostgreSQL or etcd",
    "error": "what went wrong, with the remedy where there is one",
    "event": "an event's id",
    "exception": "the traceback of what was raised",
    "file": "a file of the configuration",
    "found": "what was found, where something else should be",
    "given": "the last order that was given",
    "invariant": "what must hold, by its name in the metrics",
    "key": "a key of personal data, by its id",
    "keys": "how many keys of personal data",
    "kind": "of a command, a fact, a notice or a process",
    "left": "how many are left",
    "left_s": "seconds left",
    "local_url": "where this machine reaches it",
    "member": "a process' name in etcd",
    "next_offset": "the offset that is decided next",
    "notice": "a notice's id",
    "offset": "a command's place in the log",
    "order": "an operator's order to notification, by its id",
    "organizer": "an organizer's name",
    "partition": "a partition's number",
    "problem": "what is wrong with a setting",
    "reason": "why: a refusal, a problem's code, or how it came to that",
    "registration": "a registration's id",
    "remark": "what is worth a second look in the configuration",
    "results": "how many results of attempts",
    "route": "the template of a request's path",
    "row": "a row of an import",
    "said": "what the other side said of it",
    "setting": "a setting's key",
    "size": "how many records",
    "slot": "a partition of the replies",
    "status": "of a notice",
    "suppressed": "whether an address is not written to any more",
    "term": "a period of ownership",
    "trace_id": "the trace of a request and all that followed, as the answer's X-Trace-Id says",
    "url": "where people reach it",
    "values": "cluster settings by key",
    "version": "of the cluster settings",
    "watch": "where a process answers /metrics",
}
