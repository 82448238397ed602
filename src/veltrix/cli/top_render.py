"""The picture of `veltrix top` for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from veltrix.cli.top_view import FULL_SHARE

if TYPE_CHECKING:
    from rich.console import RenderableType

    from veltrix.cli.top_view import Frame

_STATES: Final = {"ready": "green", "not ready": "yellow", "gone": "bold red"}
LATE_S: Final = 1.0
PARTITIONS_SHOWN: Final = 16


def rendered(frame: Frame, title: str) -> RenderableType:
    """The whole picture."""
    parts: list[RenderableType] = [Text(title, style="bold"), Text(), _services(frame), Text(), _flow(frame)]
    parts += [Text(), _partitions(frame)]
    if frame.hot_events:
        parts += [Text(), _hot(frame)]
    parts += [Text(), _bounds(frame), Text(), _incidents(frame)]
    return Group(*parts)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table


def _services(frame: Frame) -> Table:
    table = _table("service", "state", ">cpu", ">memory", ">owns", ">lease", "why not")
    for row in frame.services:
        table.add_row(
            Text(row["name"]),
            Text(row["state"], style=_STATES[row["state"]]),
            "" if row["cpu"] is None else f"{row['cpu']:.0%}",
            _size(row["memory_bytes"]),
            "" if row["partitions"] is None else f"{row['partitions']:g}",
            "" if row["lease_s"] is None else f"{row['lease_s']:.1f} s",
            Text(row["why"]),
        )
    return table


def _flow(frame: Frame) -> Table:
    table = _table("a second", *(f">{name}" for name in frame.rates))
    table.add_row("", *("" if rate is None else f"{rate:,.1f}" for rate in frame.rates.values()))
    times = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("latency", *frame.latencies):
        times.add_column(name, justify="left" if name == "latency" else "right")
    for which in ("p50", "p99"):
        times.add_row(which, *(_time(spread[which]) for spread in frame.latencies.values()))
    waiting = {name: value for name, value in frame.notices.items() if value}
    said = ", ".join(f"{name} {value:,.0f}" for name, value in waiting.items() if not name.endswith("_s"))
    oldest = frame.notices.get("oldest_pending_s", 0.0)
    both = Table(box=None, pad_edge=False, show_header=False)
    both.add_row(table)
    both.add_row(times)
    both.add_row(Text(f"notices: {said or 'none'}; the oldest that must go out is {_time(oldest)} old"))
    return both


def _partitions(frame: Frame) -> Table:
    table = _table(
        "partition", "decided by", ">undecided", ">oldest", ">unpublished", ">a second", ">next offset"
    )
    ranked = sorted(
        frame.partitions, key=lambda row: (bool(row["owner"]), -row["oldest_s"], -row["undecided"])
    )
    for row in sorted(ranked[:PARTITIONS_SHOWN], key=lambda row: int(row["partition"])):
        late = row["oldest_s"] >= LATE_S
        table.add_row(
            row["partition"],
            Text(row["owner"] or "nobody", style="" if row["owner"] else "bold red"),
            f"{row['undecided']:,.0f}",
            Text(_time(row["oldest_s"]), style="yellow" if late else ""),
            f"{row['unpublished']:,.0f}",
            "" if row["per_second"] is None else f"{row['per_second']:,.1f}",
            "" if row["next_offset"] is None else f"{row['next_offset']:,.0f}",
        )
    if len(ranked) > PARTITIONS_SHOWN:
        table.caption = f"{len(ranked) - PARTITIONS_SHOWN} more, which lag less"
    return table


def _hot(frame: Frame) -> Table:
    table = _table("hot event", ">a second", ">commands", ">accepted", ">refused")
    for row in frame.hot_events:
        table.add_row(
            row["event"], f"{row['per_second']:,.1f}", *(f"{row.get(name, 0):,}" for name in _COUNTS)
        )
    return table


_COUNTS: Final = ("commands", "accepted", "refused")


def _bounds(frame: Frame) -> RenderableType:
    if not frame.bounds:
        return Text("bounds: nothing that is bounded is in use", style="dim")
    table = _table("bounded", "process", ">in use", ">at most", ">share")
    for row in frame.bounds[:5]:
        style = "bold red" if row["share"] >= FULL_SHARE else ""
        table.add_row(row["bound"], row["process"], f"{row['used']:,.0f}", f"{row['max']:,.0f}",
                      Text(f"{row['share']:.1%}", style=style))  # fmt: skip
    return table


def _incidents(frame: Frame) -> RenderableType:
    if not frame.incidents:
        return Text("incidents: none since this began to look", style="dim")
    table = _table("incident", "process", "what")
    for row in frame.incidents:
        table.add_row(row["at"], row["process"], Text(row["what"]))
    return table


def _size(size: Any) -> str:
    return "" if size is None else f"{size / 1024**2:,.0f} MiB"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:,.0f} s"
