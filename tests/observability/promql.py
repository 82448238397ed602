"""What the tests know of PromQL: which metrics and labels an expression names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from veltrix.observability.catalogue import CATALOGUE, Type
from veltrix.observability.rules.groups import recordings

# What Prometheus itself gives to every series that it scrapes as it is told to here, and to alerts.
TARGET = frozenset({"job", "instance", "service"})
OWN = {"up": TARGET, "ALERTS": TARGET | {"alertname", "alertstate", "severity"}}
_SELECTOR = re.compile(r"\b([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
_NAME = re.compile(r"\b((?:veltrix|process)[a-z0-9_]*(?::[a-zA-Z0-9_:]+)?|up|ALERTS)\b")
_LABEL = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def exposed() -> dict[str, frozenset[str]]:
    """Every series that there may be, with the labels that it may have."""
    known = dict(OWN)
    for metric in CATALOGUE:
        labels = frozenset(metric.labels) | TARGET
        if metric.type is Type.HISTOGRAM:
            known |= {f"{metric.name}_sum": labels, f"{metric.name}_count": labels}
            known[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            known[metric.exposed] = labels
    return known | {rule.record: frozenset(rule.labels) for rule in recordings()}


def wrong(expr: str) -> Iterator[str]:
    """Metrics and labels in an expression that nothing exposes."""
    known = exposed()
    bare = _STRING.sub('""', expr)
    named = set(_NAME.findall(bare))
    for name in sorted(named - known.keys()):
        yield f"nothing exposes {name}"
    for name, inside in _SELECTOR.findall(bare):
        for label in _LABEL.findall(inside):
            if name in known and label not in known[name]:
                yield f"{name} has no label {label}"
    every = frozenset().union(*(known[name] for name in named if name in known))
    for inside in _GROUPING.findall(bare):
        for label in filter(None, (part.strip() for part in inside.split(","))):
            if label not in every:
                yield f"nothing here has the label {label}"
