"""What a rehearsal makes of what it saw: pauses, evidence, verdicts, the page. No engine is needed."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from veltrix.cluster import rehearse_report as report
from veltrix.cluster.plan import Kind, Profile, make_plan
from veltrix.cluster.processes import Registry
from veltrix.cluster.rehearse_evidence import Marks, shown_fenced
from veltrix.cluster.rehearse_faults import BY_NAME, FAULTS, Scene
from veltrix.cluster.rehearse_measures import Look, Offsets, decided, longest_stall, read_look, taken_in
from veltrix.cluster.rehearse_report import BEGIN, CHECKS, END, Result
from veltrix.promises.history import Answer, Attempt, History, Outcome, Terms
from veltrix.promises.history import Kind as Asked

GOOD = Result(
    fault="processing-kill",
    measure="deciding",
    goal_s=3.0,
    deciding_s=2.0,
    commands=100,
    checks=dict.fromkeys(CHECKS, 0),
    audit="PASS",
    at_unix_s=1_900_000_000.0,
)


@pytest.mark.parametrize(
    ("pairs", "stall_s"),
    [
        ([(0.0, 0.1), (1.0, 1.1), (2.0, 2.1), (9.0, 9.1)], 0.0),  # nobody asked in between
        ([(0.0, 0.1), (1.0, 4.5), (2.0, 4.6), (5.0, 5.1)], 3.5),  # from the fault at 1 s on
        ([(0.0, 0.1), (0.5, 4.5), (2.0, 4.6)], 3.5),  # a stall that began before the fault
        ([(0.0, 0.1), (1.2, 1.3), (1.4, 3.0), (2.0, 3.1)], 1.6),  # begins later than the fault
        ([(0.0, 0.1), (1.0, 1.2), (1.2, 1.4)], 0.0),  # too short to be one
        ([(0.0, 0.1), (30.0, 38.0), (31.0, 39.0)], 0.0),  # begins after it was mended
        ([], 0.0),
    ],
)
def test_a_stall_is_when_somebody_waits_and_nobody_is_answered(pairs, stall_s):
    """The fault is at 1 s and mended at 20 s; quiet without anybody asking is no outage."""
    if pairs and pairs[-1][0] > 20:
        pairs = [*pairs, *((second, second + 0.1) for second in range(1, 30))]
    assert longest_stall(pairs, 1.0, 20.0) == pytest.approx(stall_s)


def attempt(key: str, sent_s: float, read_s: float | None, **changes: Any) -> Attempt:
    """A request for one seat."""
    made = Attempt(
        0, 0, Asked.REGISTER, key, "a@example.org", "a", ("std",), round(sent_s * 1e9), Outcome.ACCEPTED
    )
    made.received_ns = None if read_s is None else round(read_s * 1e9)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_a_command_is_as_late_as_its_first_try_is_early():
    """Repeated requests are one command: it waits from the first try to the first decision that was read;
    a 202 counts as taken in, for those who asked not to wait."""
    answer = Answer(0, 1)
    history = History(
        Terms("evt", {}, {}),
        (
            attempt("a", 1.0, None, outcome=Outcome.RESET, retried=True, impatient=True),
            attempt("a", 2.0, 2.5, status_code=202, settled_ns=round(6.0e9), answer=answer, impatient=True),
            attempt("b", 3.0, 4.0, answer=answer),
            attempt("c", 3.0, 5.0, status_code=503, outcome=Outcome.UNAVAILABLE),
        ),
    )
    assert decided(history) == [(1.0, 6.0), (3.0, 4.0)]
    assert taken_in(history) == [(1.0, 2.5)]


def test_a_metrics_page_is_read():
    """next_offset by partition, and what is fenced and owned."""
    look = read_look(
        b'veltrix_next_offset{partition="3"} 17.0\nveltrix_next_offset{partition="11"} 1e3\n'
        b"veltrix_fenced_total 2.0\nveltrix_terms_held 4.0\nother 1.0\n"
    )
    assert (dict(look.offsets), look.fenced, look.owned) == ({3: 17, 11: 1000}, 2, 4)


def looked(**seen: list[tuple[float, dict[int, int]]]) -> Offsets:
    """Looks at processes, by name."""
    plan = make_plan(Profile.SMALL, 0, processing=2)
    looks = {
        name.replace("_", "-"): [Look(at_s, offsets, 0, 1) for at_s, offsets in rows]
        for name, rows in seen.items()
    }
    return Offsets(plan.of(Kind.PROCESSING), looks)


def test_the_pause_of_a_partition_is_seen_across_its_owners():
    """A partition moves when anybody moves it further than ever; who did last is its decider."""
    offsets = looked(
        processing_1=[(1.0, {5: 10}), (2.0, {5: 20}), (3.0, {5: 20})],
        processing_2=[(2.5, {5: 15}), (6.0, {5: 21}), (6.5, {5: 30})],
    )
    assert offsets.moves(5) == [1.0, 2.0, 6.0, 6.5]
    assert offsets.pause_of(5, 2.5, 20.0) == pytest.approx(3.5)
    assert offsets.decider_of(5) == "processing-2"
    assert offsets.decider_of(6) is None


@pytest.mark.parametrize(
    ("after", "log", "broken"),
    [
        (10, "", []),
        (10, '{"message":"fenced","partition":5}\n', []),
        (12, "", ["processing-1 went on deciding partition 5 beyond 10"]),
        (12, '{"message":"partition_taken","partition":5}\n', []),  # it got it back, in order
    ],
)
def test_a_process_that_was_pushed_aside_must_stand_still(tmp_path, after, log, broken):
    """Whoever's partition was taken and who decides on without having taken it back is named."""
    offsets = looked(processing_1=[(1.0, {5: 10}), (9.0, {5: after})], processing_2=[(2.0, {5: 11})])
    registry = Registry(tmp_path)
    (tmp_path / "logs").mkdir()
    registry.log("processing-1").write_text(log)
    registry.log("processing-2").write_text(
        'garbage\n{"message":"partition_taken","partition":5,"next_offset":10}\n'
    )
    cluster: Any = SimpleNamespace(registry=registry)
    scene = Scene(cluster, (5,), offsets, sidelined=[offsets.nodes[0]])
    evidence, found = shown_fenced(scene, Marks(struck_s=1.5, healing_s=8.0))
    assert found == broken
    assert any("took partitions under higher terms" in text for text in evidence)
    assert ("processing-1 left partition 5 at 10, taken at 10" in evidence) == (after == 10)
    registry.log("processing-2").write_text("")
    assert "nobody took the partitions of processing-1" in shown_fenced(scene, Marks(1.5, healing_s=8.0))[1]


def test_the_verdict_tells_a_broken_promise_from_a_missed_goal():
    """PASS needs all promises, the audit and the goal; a slow recovery alone is SLOW."""
    assert GOOD.verdict == "PASS"
    assert replace(GOOD, deciding_s=3.5).verdict == "SLOW"
    assert replace(GOOD, goal_s=None, deciding_s=60.0).verdict == "PASS"
    assert replace(GOOD, measure="intake", deciding_s=9.0).verdict == "PASS"
    assert replace(GOOD, measure="intake", intake_s=9.0).verdict == "SLOW"
    for bad in ({"audit": "FAIL"}, {"fenced": False}, {"error": "x"}, {"checks": {"lost": 1}}):
        assert replace(GOOD, **bad).verdict == "FAIL"
    assert report.as_json([GOOD, replace(GOOD, deciding_s=9.0)])["verdict"] == "FAIL"


def test_results_are_kept_and_printed_between_the_marks(tmp_path):
    """Results come back as they were; the table has min, median and max, and replaces what is marked."""
    results = [replace(GOOD, deciding_s=seconds, victims=("a",)) for seconds in (1.0, 4.0, 2.0)]
    for result in results:
        report.remember(tmp_path / "kept", result)
    assert report.recall(tmp_path / "kept") == results
    assert report.recall(tmp_path / "none") == []
    (row,) = report.rows_of(results)
    assert row.spread("deciding_s") == "1.0 / 2.0 / 4.0"
    assert row.verdict == "SLOW"
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nformer\n{END}\nafter\n", encoding="utf-8")
    report.write_markdown(page, report.markdown(results, "here"))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "| kill -9 a processing process | deciding again in ≤ 3 s | 3 | 1.0 / 2.0 / 4.0 |" in text
    assert "former" not in text
    report.write_markdown(tmp_path / "new.md", "alone")
    assert (tmp_path / "new.md").read_text(encoding="utf-8") == "alone\n"


def test_every_fault_has_a_name_and_a_goal():
    """Names are unique, and what needs test hosts or several engines says so."""
    assert len(BY_NAME) == len(FAULTS)
    assert all(fault.says and fault.goal and fault.hold_s > 0 for fault in FAULTS)
    assert {fault.name for fault in FAULTS if fault.hosts} == {"host-cut", "host-deaf", "host-mute"}
    assert all(fault.ha for fault in FAULTS if fault.hosts)
