"""`veltrix demo`: the whole platform at work, started and stopped as a user would.

A crowd registers at once for one event; then everything that was promised is checked: the answers against
each other and against the ledger, the ledger against the log, the mail against both.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from veltrix.load.client import Asker, ClientError, Target
from veltrix.load.command import execute, run_on_fast_loop
from veltrix.load.crowd import raise_file_limit
from veltrix.load.mailbox import Spooled, owed, untold, wait_for_notices
from veltrix.load.options import LoadOptions
from veltrix.load.platform import LocalPlatform, PlatformError
from veltrix.load.report import EXIT_UNUSABLE, LoadReport, Verdict, as_json, print_table, print_verdict
from veltrix.load.story import tell_story
from veltrix.load.watch import Bars, Unwatched, Watcher

SEATS: Final = 5_000
WAITLIST: Final = 4_000
PEOPLE: Final = 10_000
_NOTICES_TIMEOUT_S: Final = 300.0
_RUNS_KEPT: Final = 3
_MARK: Final = "veltrix-demo"
_EXIT_INTERRUPTED: Final = 130


@dataclass(slots=True)
class Shown:
    """What the demo found out besides the load itself."""

    report: LoadReport
    notices: dict[str, int]
    mails: int
    last_mail_s: float
    untold: list[str]
    audit: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The load's, unless the notices or the audit say otherwise."""
        load = self.report.verdict
        reasons = [load.reason] if load.word != "PASS" else []
        still_open = {name: count for name, count in self.notices.items() if count and name != "accepted"}
        if still_open:
            reasons.append("notices: " + ", ".join(f"{count:,} {name}" for name, count in still_open.items()))
        if self.untold:
            reasons.append(f"not told once: {len(self.untold):,}, such as {self.untold[0]}")
        if self.mails != self.notices.get("accepted", 0):
            reasons.append(f"{self.mails:,} mails for {self.notices.get('accepted', 0):,} notices")
        if self.audit.get("verdict") != "PASS":
            reasons.append(f"audit: {self.audit.get('reason') or self.audit.get('verdict')}")
        return Verdict("FAIL" if reasons else "PASS", "; ".join(reasons), load.note)


def run_demo(
    console: Console,
    *,
    people: int = PEOPLE,
    keep: bool = False,
    as_json: bool = False,
    directory: Path | None = None,
) -> int:
    """Show it; returns the exit code. `keep` leaves the platform running until Ctrl-C."""
    home = _fresh_directory(directory)
    quiet = Console(quiet=True) if as_json else console
    platform: LocalPlatform | None = None
    try:
        with _terminated_in_order():
            _say(quiet, "Starting", f"veltrix serve, on a free port, as it is shipped; everything in {home}")
            raise_file_limit()  # the platform inherits it, also where its own attempt is refused
            platform = LocalPlatform.start(home)
            _say(quiet, "Serving", f"{platform.url}, after {platform.started_s:.1f} s")
            shown = _show(platform, people, quiet)
            _print_end(shown, platform, home, console, as_json=as_json, keep=keep)
            if keep:
                _wait_until_interrupted(platform)
            return shown.verdict.exit_code
    except KeyboardInterrupt:
        _say(quiet, "Stopped", "before it was done" if not keep else "as asked")
        return _EXIT_INTERRUPTED if not keep else 0
    except (ClientError, PlatformError, OSError) as error:
        failure = Verdict("FAIL", str(error))
        if as_json:
            sys.stdout.write(json.dumps({"verdict": "FAIL", "reason": str(error)}) + "\n")
        elif platform is not None or (home / "serve.log").is_file():
            console.print(Text(_log_tail(home)), style="dim")
        if not as_json:
            print_verdict(failure, console)
        return EXIT_UNUSABLE
    finally:
        if platform is not None:
            platform.stop()


def _show(platform: LocalPlatform, people: int, console: Console) -> Shown:
    key = platform.new_key()
    options = LoadOptions(
        url=platform.url,
        api_key=key,
        registrants=people,
        capacity=SEATS * people // PEOPLE,
        waitlist=WAITLIST * people // PEOPLE,
        pools=1,
        title="Midsummer Night at the Harbour",
    )
    _say(
        console,
        "Opening",
        f"an event with {options.capacity:,} seats and a waitlist of {options.waitlist:,}; "
        f"{people:,} people register at once, each over a connection of their own",
    )
    with nullcontext(Unwatched()) if console.quiet else Bars(console) as watcher:
        report = run_on_fast_loop(execute(options, watcher))
        notices = run_on_fast_loop(_notices(platform, key, report, watcher))
    spool = platform.data / "spool"
    spooled = Spooled.read(spool)
    last_mail_s = max(0.0, spooled.last_unix_s - report.began_unix_s)
    print_table(report, console)
    _say(
        console,
        "Told",
        f"{spooled.by_address.total():,} mails to {len(spooled.by_address):,} people; "
        f"the last was there {last_mail_s:.1f} s after the first request",
    )
    began_s = time.monotonic()
    audit = _audit(platform)
    _say(
        console,
        "Audited",
        f"{audit.get('commands', 0):,} commands replayed from the log in {time.monotonic() - began_s:.1f} s; "
        f"the ledger is what they lead to: {audit.get('verdict', 'no verdict')}",
    )
    console.print()
    tell_story(report, spool, console)
    return Shown(
        report=report,
        notices=notices,
        mails=spooled.by_address.total(),
        last_mail_s=last_mail_s,
        untold=list(untold(report.history, spooled)),
        audit=audit,
    )


def _audit(platform: LocalPlatform) -> dict[str, Any]:
    """What `veltrix audit` says, while the platform serves."""
    done = platform.ask("audit", "--json", check=False)
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"verdict": "no verdict", "reason": done.stderr.strip() or f"exit code {done.returncode}"}
    return said


async def _notices(platform: LocalPlatform, key: str, report: LoadReport, watcher: Watcher) -> dict[str, int]:
    asker = Asker(Target.of(platform.url), key)
    least = sum(debt.least for debt in owed(report.history).values())
    try:
        return await wait_for_notices(asker, least, watcher, _NOTICES_TIMEOUT_S)
    finally:
        await asker.close()


def _print_end(
    shown: Shown, platform: LocalPlatform, home: Path, console: Console, *, as_json: bool, keep: bool
) -> None:
    if as_json:
        sys.stdout.write(json.dumps(_as_json(shown, home), indent=2) + "\n")
        return
    console.print()
    event = shown.report.history.terms.event
    if keep:
        _say(console, "Look at", f"{platform.url}/e/{event} until Ctrl-C")
        _say(console, "or at", f"{platform.url}/docs, {platform.url}/metrics")
    else:
        _say(console, "Look at", f"the mail in {platform.data / 'spool'}, the log in {platform.log}")
        _say(console, "Serve it", f"veltrix serve --data {platform.data}   then /e/{event}")
        _say(
            console,
            "Your own",
            "make run   then veltrix key create --organizer YOU; README.md goes on from there",
        )
    print_verdict(shown.verdict, console)


def _as_json(shown: Shown, home: Path) -> dict[str, Any]:
    verdict = shown.verdict
    return {
        "verdict": verdict.word,
        "reason": verdict.reason,
        "note": verdict.note,
        "exit_code": verdict.exit_code,
        "directory": str(home),
        "notices": shown.notices,
        "mails": shown.mails,
        "last_mail_s": round(shown.last_mail_s, 3),
        "untold": shown.untold[:10],
        "audit": shown.audit,
        "load": as_json(shown.report),
    }


def _say(console: Console, what: str, text: str) -> None:
    console.print(Text.assemble((f"{what:<10}", "bold"), text), soft_wrap=True)


def _fresh_directory(parent: Path | None) -> Path:
    """A new directory for this run; the oldest of earlier runs go, the last few stay to be looked at."""
    if parent is None:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        parent = Path(state) / "veltrix" / "demo"
    parent.mkdir(parents=True, exist_ok=True)
    ours = sorted(path.parent for path in parent.glob(f"*/{_MARK}"))
    for old in ours[: max(0, len(ours) - _RUNS_KEPT + 1)]:
        shutil.rmtree(old, ignore_errors=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    home = parent / f"{stamp}-{os.getpid()}"
    home.mkdir(mode=0o700)
    (home / _MARK).touch()
    return home


def _log_tail(home: Path) -> str:
    log = home / "serve.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:] if log.is_file() else []
    return "\n".join([f"The end of {log}:", *lines])


@contextmanager
def _terminated_in_order() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, so that what it started is stopped too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_until_interrupted(platform: LocalPlatform) -> None:
    while platform.is_running():
        time.sleep(0.2)
