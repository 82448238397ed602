"""All groups of rules, and the file that Prometheus loads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from veltrix.observability.rules.deciding import DECIDING
from veltrix.observability.rules.engines import ENGINES
from veltrix.observability.rules.intake import INTAKE
from veltrix.observability.rules.model import RUNBOOKS, Alert, Group, Recording
from veltrix.observability.rules.notices import NOTICES
from veltrix.observability.rules.objectives import OBJECTIVE_ALERTS, OBJECTIVE_RECORDINGS
from veltrix.observability.rules.processes import PROCESSES
from veltrix.observability.yaml import to_yaml

GROUPS: Final[tuple[Group, ...]] = (
    OBJECTIVE_RECORDINGS,
    OBJECTIVE_ALERTS,
    PROCESSES,
    INTAKE,
    DECIDING,
    NOTICES,
    ENGINES,
)


def alerts() -> Iterator[Alert]:
    """Every alert; some share a name, and then a runbook."""
    for group in GROUPS:
        yield from (rule for rule in group.rules if isinstance(rule, Alert))


def recordings() -> Iterator[Recording]:
    """Every series that is computed."""
    for group in GROUPS:
        yield from (rule for rule in group.rules if isinstance(rule, Recording))


def rules_file(runbooks: str = RUNBOOKS) -> str:
    """The file of all rules; `runbooks` is the address of docs/runbooks.md wherever people read it."""
    return to_yaml({"groups": [group.document(runbooks) for group in GROUPS]})
