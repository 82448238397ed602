"""Logs: what a line holds, what it must never hold, and that nothing in it can stop the program."""

import asyncio
import io
import json
import logging
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veltrix.observability import logging as logs
from veltrix.observability.masking import MASK, is_masked_key, mask, mask_text


@pytest.fixture
def stream():
    """Configured JSON logs of every level on a stream; all as before afterwards."""
    state = logs._State.level, logs._State.sink
    root = logging.getLogger()
    before = root.handlers, root.level
    others = {
        name: (logger.handlers[:], logger.propagate)
        for name, logger in logging.Logger.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    out = io.StringIO()
    logs.configure("debug", "json", out)
    yield out
    logs._State.level, logs._State.sink = state
    logging.captureWarnings(False)
    root.handlers, root.level = before
    for name, (handlers, propagate) in others.items():
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = handlers, propagate


def lines(out):
    """The lines that were written, parsed."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_has_the_agreed_keys(stream):
    """Time, level, service and message come first; fields follow under the names they were given."""
    logs.get_logger("processing").bind(partition=3).info("batch_committed", offset=41, event="evt_1")
    (line,) = lines(stream)
    assert list(line)[:4] == ["time", "level", "service", "message"]
    assert line["time"].endswith("Z")
    del line["time"]
    assert line == {
        "level": "info",
        "service": "processing",
        "message": "batch_committed",
        "partition": 3,
        "offset": 41,
        "event": "evt_1",
    }


def test_levels_below_the_configured_one_are_not_written(stream):
    """A level that is not wanted writes nothing, and `enabled` says so beforehand."""
    logs.configure("warning", "json", stream)
    log = logs.get_logger("processing")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [line["message"] for line in lines(stream)] == ["c", "d"]
    assert not log.enabled(logs.INFO)
    assert log.enabled(logs.ERROR)


def test_exceptions_are_text_in_one_line(stream):
    """A traceback is a field of its line, masked like everything else."""
    log = logs.get_logger("notification")
    try:
        raise ValueError("cannot reach ada@example.org")
    except ValueError as error:
        log.exception("attempt_failed", notice="not_1")
        kept = error
    log.error("again", exc_info=kept)
    log.error("no_exception_here", exc_info=True)
    first, second, third = lines(stream)
    assert first["exception"].startswith("Traceback")
    assert first["exception"] == second["exception"]
    assert "ada@example.org" not in stream.getvalue()
    assert "exception" not in third


async def test_bound_fields_follow_the_task(stream):
    """A trace id bound in one task is on its lines and those of tasks it starts, and on no other's."""
    log = logs.get_logger("registration")

    async def request(trace_id):
        with logs.bound(trace_id=trace_id):
            await asyncio.sleep(0)
            log.info("request")
            await asyncio.create_task(inner())

    async def inner():
        log.info("inner")

    await asyncio.gather(request("a"), request("b"))
    log.info("outside")
    found = [(line["message"], line.get("trace_id")) for line in lines(stream)]
    assert sorted(found[:-1]) == [("inner", "a"), ("inner", "b"), ("request", "a"), ("request", "b")]
    assert found[-1] == ("outside", None)


def test_personal_data_never_reaches_a_line(stream):
    """Fields that hold a person's data are masked by their keys, addresses and credentials by their looks."""
    ticket = "T1" + "A" * 30
    logs.get_logger("registration").error(
        "request_failed",
        email="ada@example.org",
        contact={"name": "Ada", "email": "ada@example.org"},
        nested=[{"attendee_name": "Ada", "seat": 1, "deep": {"answers": ["Ada likes tea"]}}],
        error="550 no such user <ada@example.org>",
        path=f"/v1/registrations/r1{'a' * 40}/confirm",
        code=ticket,
        authorization="Bearer vk_abc_0123456789abcdef",
        detail="key vk_abc_0123456789abcdef is unknown",
        client="198.51.100.7",
        exc=ValueError("bad address ada@example.org"),
    )
    text = stream.getvalue()
    for secret in ("Ada", "ada@", "0123456789abcdef", "a" * 40, ticket, "198.51"):
        assert secret not in text
    (line,) = lines(stream)
    assert line["nested"][0]["seat"] == 1
    assert line["error"] == f"550 no such user <{MASK}>"


@pytest.mark.parametrize(
    "key", ["email", "E-Mail", "reply_email", "name", "attendee.name", "access_code", "to"]
)
def test_keys_of_personal_data_are_known(key):
    """Whole words of a key count, however they are joined."""
    assert is_masked_key(key)


@pytest.mark.parametrize(
    "key", ["emailed", "event", "registration", "partition", "trace_id", "task_name", "error"]
)
def test_other_keys_are_let_be(key):
    """Ids and counters, and words that only contain one of those, are shown."""
    assert not is_masked_key(key)


@given(st.emails())
def test_addresses_are_masked_wherever_they_stand(address):
    """No e-mail address survives in a text."""
    masked = mask_text(f"could not send to <{address}>: gone")
    local, _, domain = address.rpartition("@")
    assert f"{local[-3:]}@{domain[:3]}" not in masked


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_logged_is_one_json_line(value):
    """Any value becomes one valid JSON line."""
    from veltrix.observability.pipeline import finished, json_renderer

    line = json_renderer()(finished(20, {"service": "x", "message": "y", "value": value}))
    assert "\n" not in line
    assert json.loads(line)["message"] == "y"


def test_what_cannot_be_shown_does_not_stop_the_program(stream):
    """A value whose text raises, a cycle or an endless text leaves a line, not an exception."""

    class Broken:
        def __str__(self):
            raise RuntimeError("no text")

    cycle: list[object] = []
    cycle.append(cycle)
    log = logs.get_logger("x")
    log.info("broken", value=Broken())
    log.info("cycle", value=cycle)
    log.info("long", value="x" * 1_000_000)
    log.info("surrogate", value="\ud800")
    assert lines(stream)[0] == {"level": "error", "message": "log_line_failed", "error": "RuntimeError"}
    assert len(stream.getvalue()) < 20_000


def test_a_closed_stream_is_let_be():
    """When nobody reads the logs any more, the program goes on."""
    from veltrix.observability.pipeline import json_renderer, pipeline

    out = io.StringIO()
    out.close()
    pipeline(json_renderer(), out)(20, {"service": "x", "message": "y"})


def test_the_standard_library_logs_through_the_same_pipeline(stream):
    """Lines of uvicorn, asyncio and warnings have the same shape; uvicorn's access lines are dropped."""
    logging.getLogger("uvicorn.error").error("Failed for %s", "ada@example.org")
    logging.getLogger("uvicorn.access").info("198.51.100.7 GET /r/r1aaa")
    logging.getLogger("asyncio").debug("chatter")
    logging.getLogger("asyncio").error("bad %s args")
    bad = logging.LogRecord("asyncio", logging.ERROR, "", 0, "bad %d", ("text",), None)
    logging.getLogger().handlers[0].handle(bad)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    found = [(line["service"], line["level"], line["message"]) for line in lines(stream)]
    assert found[0] == ("uvicorn.error", "error", f"Failed for {MASK}")
    assert [service for service, _, _ in found] == ["uvicorn.error", "asyncio", "asyncio", "py.warnings"]


def test_before_configuration_lines_go_to_the_standard_library(caplog):
    """A program that embeds a service, and a test, sees warnings as it sees everybody's."""
    logs.get_logger("processing").warning("fenced", partition=1)
    logs.get_logger("processing").info("not_shown")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("veltrix.processing", "fenced partition=1")
    ]


def test_lines_can_be_captured():
    """Tests read lines as fields."""
    with logs.captured() as found:
        logs.get_logger("x").debug("seen", n=1)
    assert found == [{"level": "debug", "service": "x", "message": "seen", "n": 1}]


def test_people_get_readable_lines():
    """The console format has message, service and fields on one line, without colours if not wanted."""
    from veltrix.observability.pipeline import console_renderer, finished

    line = console_renderer(False)(
        finished(30, {"service": "processing", "message": "fenced", "partition": 1})
    )
    assert "\x1b" not in line
    assert line[12:].split() == ["[warning", "]", "fenced", "[processing]", "partition=1"]
    assert "\x1b" in console_renderer(True)(finished(30, {"service": "x", "message": "y"}))


def test_auto_means_json_unless_a_terminal():
    """`auto` writes JSON into files and pipes, and text for people on a terminal."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert logs.wants_json("auto", io.StringIO())
    assert not logs.wants_json("auto", Terminal())
    assert logs.wants_json("json", Terminal())
    assert not logs.wants_json("console", io.StringIO())


def test_masking_keeps_what_is_not_personal():
    """Numbers, booleans and nothing stay as they are; sets and bytes become what JSON has."""
    assert mask({"a": 1, "b": None, "c": True, "d": (1, 2), "e": b"x"}) == {
        "a": 1,
        "b": None,
        "c": True,
        "d": [1, 2],
        "e": "b'x'",
    }
