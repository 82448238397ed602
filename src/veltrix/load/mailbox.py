"""Whether everybody was told: the notices that the platform counts, and the mail that lies in its spool."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from veltrix.load.client import Asker, ClientError
from veltrix.load.watch import Watcher
from veltrix.promises.history import Attempt, History, Kind

_SAMPLE: Final = re.compile(rb'^veltrix_notices\{status="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE)
_TO: Final = re.compile(rb"^To:((?:.|\r?\n[ \t])*)", re.MULTILINE)
_ADDRESS: Final = re.compile(rb"<?([^\s<>,;]+@[^\s<>,;]+?)>?\s*$")
_HEAD_BYTES: Final = 2048
_POLL_S: Final = 0.25
_SETTLED_POLLS: Final = 3
_OPEN: Final = ("pending", "attempting", "unknown")


@dataclass(frozen=True, slots=True)
class Owed:
    """How many notices a person is owed. A waitlisted one who cancelled may have been promoted in between,
    and what was never answered may have happened."""

    least: int
    most: int


def owed(history: History) -> dict[str, Owed]:
    """By address, lower case: one for the decision, one for a promotion, one for a cancellation."""
    status = {row.id: row.status for row in history.ledger or ()}
    known: dict[str, Owed] = {}
    for asked in history.commands.values():
        answer = asked.decided.answer if asked.decided is not None else None
        before = known.get(asked.first.email.casefold(), Owed(0, 0))
        if answer is None:  # nobody knows whether it happened: a seat, or a wait and then a seat
            known[asked.first.email.casefold()] = Owed(before.least, before.most + 2)
            continue
        if answer.refusal:
            continue
        least = most = 1
        if asked.first.kind is not Kind.CANCEL and answer.status == "waitlisted":
            now = status.get(answer.registration)
            least += now in ("confirmed", "held")
            most += now != "waitlisted"
        known[asked.first.email.casefold()] = Owed(before.least + least, before.most + most)
    return known


async def wait_for_notices(asker: Asker, least: int, watcher: Watcher, timeout_s: float) -> dict[str, int]:
    """Wait until `least` notices are out and none is open any more; returns how many stand in each status."""
    watcher.phase("telling", least)
    deadline_s = time.monotonic() + timeout_s
    settled, before = 0, -1
    while True:
        counts = await notice_counts(asker)
        accepted = counts.get("accepted", 0)
        watcher.reached(min(accepted, least))
        quiet = accepted >= least and not any(counts.get(status) for status in _OPEN)
        settled = settled + 1 if quiet and accepted == before else 0
        before = accepted
        if settled == _SETTLED_POLLS or time.monotonic() > deadline_s:
            return counts
        await asyncio.sleep(_POLL_S)


async def notice_counts(asker: Asker) -> dict[str, int]:
    """How many notices stand in each status, as the platform's metrics say."""
    answer = await asker.ask("GET", "/metrics")
    if answer.status != 200:
        raise ClientError(f"/metrics answered {answer.status}")
    return {status.decode(): round(float(value)) for status, value in _SAMPLE.findall(answer.body)}


@dataclass(frozen=True, slots=True)
class Spooled:
    """The mail in spool directories: how much to each address, and when the last file was written.

    A file is named by its notice's stable id: the same notice in two spools is one.
    """

    by_address: Counter[str]
    last_unix_s: float

    @classmethod
    def read(cls, *spools: Path, known: dict[str, str] | None = None) -> Spooled:
        """All of it; `known` keeps the addresses of files that were read before."""
        known = {} if known is None else known
        last_unix_s = 0.0
        for path in (path for spool in spools for path in spool.glob("*.eml")):
            if path.name not in known:
                known[path.name] = address_of(path)
            last_unix_s = max(last_unix_s, path.stat().st_mtime)
        return cls(Counter(known.values()), last_unix_s)

    def of(self, people: Container[str]) -> Spooled:
        """What was sent to these people alone."""
        mine = {address: count for address, count in self.by_address.items() if address in people}
        return Spooled(Counter(mine), self.last_unix_s)


async def wait_until_told(
    history: History, spools: tuple[Path, ...], watcher: Watcher, timeout_s: float
) -> list[str]:
    """Wait until everybody of this run has the mails that they are owed; returns what is wrong at the end."""
    people = {attempt.email.casefold() for attempt in history.attempts}
    owing = owed(history)
    watcher.phase("telling", len(owing))
    known: dict[str, str] = {}
    deadline_s = time.monotonic() + timeout_s
    while True:
        spooled = Spooled.read(*spools, known=known).of(people)
        told = sum(spooled.by_address[email] >= debt.least for email, debt in owing.items())
        watcher.reached(told)
        if told == len(owing) or time.monotonic() > deadline_s:
            await asyncio.sleep(_POLL_S)  # for one too many
            return list(untold(history, Spooled.read(*spools, known=known).of(people)))
        await asyncio.sleep(_POLL_S)


def address_of(path: Path) -> str:
    """The address that a spooled mail goes to, lower case."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    to = _TO.search(head)
    found = _ADDRESS.search(to[1].rstrip()) if to else None
    return found[1].decode(errors="replace").casefold() if found else ""


def mails_of(spool: Path, email: str) -> list[Path]:
    """The mails to an address, oldest first."""
    wanted = email.casefold()
    found = [path for path in spool.glob("*.eml") if address_of(path) == wanted]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def untold(history: History, spooled: Spooled) -> Iterator[str]:
    """People who got fewer or more mails than they are owed, and mail to people who are owed none."""
    debts = owed(history)
    for email, debt in sorted(debts.items()):
        got = spooled.by_address[email]
        if not debt.least <= got <= debt.most:
            yield f"{email} was sent {got} mails and is owed {debt.least}"
    if history.terms.exclusive:
        for email in sorted(spooled.by_address.keys() - debts.keys()):
            yield f"{email} was sent mail and is owed none"


def promoted(history: History) -> list[Attempt]:
    """Those who were told to wait and have their seats now."""
    status = {row.id: row.status for row in history.ledger or ()}
    return [
        each
        for each in history.attempts
        if each.kind is Kind.REGISTER
        and each.answer is not None
        and each.answer.status == "waitlisted"
        and status.get(each.answer.registration) in ("confirmed", "held")
    ]
