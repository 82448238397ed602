"""`veltrix load`: prepare, connect, run, read the ledger, check, report."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any, Final, TypeVar

from rich.console import Console

from veltrix.load.answers import attempts_of, location_in
from veltrix.load.client import Asker, ClientError, Connection, Target
from veltrix.load.crowd import (
    OPEN_FILE_LIMIT,
    Crowd,
    connections_allowed,
    disperse,
    gather_crowd,
    raise_file_limit,
)
from veltrix.load.figures import figures_of
from veltrix.load.mailbox import wait_until_told
from veltrix.load.options import LoadOptions
from veltrix.load.patience import Patience
from veltrix.load.plan import Planner, Script, draw_schedule
from veltrix.load.report import EXIT_UNUSABLE, LoadReport, as_json, print_report
from veltrix.load.run import Runner, quiet_collector
from veltrix.load.venue import Venue, event_in, find_event, publish_event, read_ledger, read_pools
from veltrix.load.watch import REFRESH_S, Bars, Unwatched, Watcher
from veltrix.promises.answers import Finding, check
from veltrix.promises.history import History, PoolRow, Row

T = TypeVar("T")
_TAG_BYTES: Final = 3
_ASKING_AGAIN: Final = 50
_SETTLE_TRIES: Final = 50
_SETTLE_PAUSE_S: Final = 0.1
_WAIT_S: Final = 20


def run_load(options: LoadOptions, console: Console) -> int:
    """Run it, print the report, and return the exit code: 0 PASS, 1 FAIL or INVALID, 3 could not run."""
    try:
        with nullcontext(Unwatched()) if options.json else Bars(console) as watcher:
            report = run_on_fast_loop(execute(options, watcher))
    except ClientError as error:
        if options.json:
            console.print_json(json.dumps({"error": str(error), "exit_code": EXIT_UNUSABLE}))
        else:
            console.print(f"[bold red]The load could not be run:[/] {error}", highlight=False)
        return EXIT_UNUSABLE
    if options.json:
        console.print_json(json.dumps(as_json(report)))
    else:
        print_report(report, console)
    return report.verdict.exit_code


def run_on_fast_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on uvloop, or on asyncio's own loop where there is none."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # pragma: no cover - Windows has none
        return None
    return uvloop.new_event_loop


async def execute(options: LoadOptions, watcher: Watcher | None = None) -> LoadReport:
    """Run it on the running loop; raises `ClientError` when it cannot be run at all."""
    watcher = watcher or Unwatched()
    target = Target.of(options.url)
    targets = [target, *(Target.of(url) for url in options.also)]
    tag = options.run_tag or secrets.token_hex(_TAG_BYTES)
    asker = Asker(target, options.api_key, options.timeout_s, tuple(targets[1:]), options.patience_s)
    try:
        venue = await _venue(options, target, asker, tag)
        run = await _run(options, targets, venue, tag, watcher)
        ledger, pools = await _read_back(options, asker, venue, run.scripts, watcher)
    finally:
        await asker.close()
    attempts = attempts_of(run.scripts)
    history = History(venue.terms, attempts, ledger, pools)
    watcher.reached(2)
    findings = check(history)
    watcher.reached(3)
    if options.spools:
        untold = await wait_until_told(history, options.spools, watcher, options.telling_s)
        findings = (*findings, Finding.of("untold", untold))
    return LoadReport(
        options=options,
        base_url=target.base,
        title=venue.title,
        run_tag=tag,
        people=len(run.scripts),
        connections=run.connections,
        connecting_s=run.connecting_s,
        reopened=run.reopened,
        repeated=run.repeated,
        followed=run.followed,
        cpu_us_per_request=run.cpu_s / max(1, len(attempts)) * 1e6,
        reduced=run.reduced,
        began_unix_s=time.time() - (time.monotonic_ns() - attempts[0].sent_ns) / 1e9 if attempts else 0.0,
        scripts=tuple(run.scripts),
        history=history,
        figures=figures_of(attempts, options.late_ms),
        findings=findings,
    )


async def _venue(options: LoadOptions, target: Target, asker: Asker, tag: str) -> Venue:
    event = event_in(target.path)
    if event is not None:
        return await find_event(asker, event)
    if options.api_key is None:
        raise ClientError(
            "publishing an event needs an API key; make one with `veltrix key create`, "
            "or give the URL of an event (…/v1/events/evt_…)"
        )
    return await publish_event(asker, options, tag)


class _Run:
    """What a run over connections left behind."""

    def __init__(self, scripts: list[Script]) -> None:
        self.scripts = scripts
        self.connections = 0
        self.connecting_s = 0.0
        self.reopened = self.repeated = self.followed = 0
        self.cpu_s = 0.0
        self.reduced = ""


async def _run(options: LoadOptions, targets: list[Target], venue: Venue, tag: str, watcher: Watcher) -> _Run:
    """Plan, connect, and only then let the clock start."""
    people, schedule = options.registrants, None
    if options.rate_per_s is not None:
        schedule = draw_schedule(options.rate_per_s, options.duration_s, options.gaps, options.seed)
        people = len(schedule)
    run = _Run(Planner(options, venue, targets[0], tag).scripts(people))
    wanted = min(options.connections or options.registrants, options.registrants)
    spares = _spares(run.scripts, wanted, options)
    allowed = connections_allowed(wanted + spares, raise_file_limit())
    watcher.phase("connecting", allowed)
    started_s = time.monotonic()
    crowd = await gather_crowd(targets, allowed, lambda: Connection(lambda *answer: None), watcher.reached)
    run.connecting_s = time.monotonic() - started_s
    if len(crowd.connections) < wanted + spares:
        spares = spares * len(crowd.connections) // (wanted + spares)
        wanted = len(crowd.connections) - spares
        if schedule is None:
            del run.scripts[wanted:]
        run.reduced = f"{wanted:,}, {crowd.stopped_by or OPEN_FILE_LIMIT}"
    run.connections = len(crowd.connections)
    try:
        await _clocked(options, run, crowd, spares, schedule, watcher)
    finally:
        disperse(crowd)
    return run


def _spares(scripts: list[Script], connections: int, options: LoadOptions) -> int:
    """Second devices: one for each twin, or as many as are in use at a time when connections are shared."""
    twins = sum(1 for script in scripts if script.twin is not None)
    return min(twins, 1 + round(2 * options.mix.duplicates * connections)) if twins else 0


async def _clocked(
    options: LoadOptions,
    run: _Run,
    crowd: Crowd,
    spares: int,
    schedule: list[int] | None,
    watcher: Watcher,
) -> None:
    wait_s = _WAIT_S if options.wait_s is None else options.wait_s
    patience = Patience(crowd.targets[0], options.patience_s, wait_s)
    runner = Runner(crowd.targets, run.scripts, crowd.connections, spares, options.timeout_s, patience)
    watcher.phase("registering", len(run.scripts))
    watching = asyncio.create_task(_watch(runner, watcher))
    try:
        with quiet_collector():
            cpu_s = time.process_time()
            if schedule is None:
                await runner.closed(options.concurrency or len(run.scripts))
            else:
                await runner.scheduled(schedule)
            run.cpu_s = time.process_time() - cpu_s
    finally:
        watching.cancel()
        for connection in runner.connections():
            connection.lost = None
            connection.abort()
    counts = runner.counts
    run.reopened, run.repeated, run.followed = counts.reopened, counts.repeated, counts.followed
    watcher.reached(runner.counts.people_done)


async def _watch(runner: Runner, watcher: Watcher) -> None:
    while True:
        await asyncio.sleep(REFRESH_S)
        watcher.reached(runner.counts.people_done)


async def _read_back(
    options: LoadOptions, asker: Asker, venue: Venue, scripts: list[Script], watcher: Watcher
) -> tuple[tuple[Row, ...] | None, tuple[PoolRow, ...] | None]:
    """Wait for what was left undecided, then read the ledger and the pools that belong to it."""
    watcher.phase("checking", 3)
    await _ask_again(options, asker.target, scripts)
    watcher.reached(1)
    if options.api_key is None:
        return None, None
    event = venue.terms.event
    ledger = await read_ledger(asker, event)
    last = max((each.answer.offset for each in attempts_of(scripts) if each.answer), default=-1)
    for _ in range(_SETTLE_TRIES):
        pools, as_of = await read_pools(asker, event)
        if as_of < 0 or as_of >= last:
            return ledger, pools
        await asyncio.sleep(_SETTLE_PAUSE_S)
    return ledger, None


async def _ask_again(options: LoadOptions, target: Target, scripts: list[Script]) -> None:
    """For whoever got a 202: ask its location until the decision is there, a bounded number at a time."""
    requests = [each for script in scripts for each in script.requests()]
    undecided = iter([each for each in requests if each.status == 202 and not each.decided_status])
    deadline_s = time.monotonic() + options.timeout_s

    async def ask_some() -> None:
        asker = Asker(target, timeout_s=options.timeout_s)
        try:
            for request in undecided:
                path = location_in(request)
                path = path.removeprefix(target.base)
                while path.startswith("/") and time.monotonic() < deadline_s:
                    answer = await asker.ask("GET", path, headers={"Prefer": "wait=5"})
                    if answer.status not in (202, 429, 503):
                        request.decided_status, request.decided_body = answer.status, answer.body
                        break
                    await asyncio.sleep(_SETTLE_PAUSE_S)
        except ClientError:
            return
        finally:
            await asker.close()

    await asyncio.gather(*(ask_some() for _ in range(_ASKING_AGAIN)))
