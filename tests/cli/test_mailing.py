"""`veltrix suppression` and `veltrix bounce`, at the command line."""

import io
import json
import sys

import pytest

from tests.notification.stage import event_spec
from tests.registration.test_reports import dsn, failed
from veltrix.adapters.master_key import derive, read_master_key
from veltrix.adapters.sqlite import SqliteLedger, SqliteNotices, SqliteOutreach, SqliteVault
from veltrix.cli.exits import ExitCode
from veltrix.domain.commands import Actor, Command, CreateEvent, Envelope, OpenEvent, Register
from veltrix.domain.credentials import Signer
from veltrix.domain.identifiers import command_id, notice_id
from veltrix.domain.state import PartitionState
from veltrix.ports.ledger import Term
from veltrix.ports.log import LogIdentity, LogRecord
from veltrix.ports.notices import Notice, Planned
from veltrix.processing.batch import Entry, decide_batch
from veltrix.sealing import AddressHashes, Person, seal
from veltrix.wire import encode_command

TERM = Term(1, 1)


@pytest.fixture
def piped(here, monkeypatch):
    """`piped(raw, *arguments)` runs a command with these bytes on its standard input."""

    def run(raw, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
            return here(*arguments)

    return run


def test_suppressions_at_the_command_line(here):
    """Added, listed and taken back; the address itself is in nothing that is kept."""
    where = ("--organizer", "acme", "--data", "d", "--json")
    added = json.loads(here("suppression", "add", "ADA@example.org", *where).stdout)
    assert (added["category"], added["reason"], added["new"]) == ("*", "manual", True)
    assert json.loads(here("suppression", "add", "ada@example.org", *where).stdout)["new"] is False
    here("suppression", "add", "ada@example.org", "--category", "reminder", *where)
    listed = json.loads(here("suppression", "list", *where).stdout)
    assert [each["category"] for each in listed] == ["*", "reminder"]
    assert {each["address"] for each in listed} == {added["address"]}
    assert json.loads(here("suppression", "remove", "ada@example.org", *where).stdout) == {"removed": True}
    gone = here("suppression", "remove", "ada@example.org", *where)
    assert gone.returncode == ExitCode.NEGATIVE
    left = json.loads(here("suppression", "list", "--email", "ada@example.org", *where).stdout)
    assert [each["category"] for each in left] == ["reminder"]


def test_what_people_read_of_suppressions(here):
    """Sentences and a table, without JSON."""
    where = ("--organizer", "acme", "--data", "d")
    assert "acme writes to everybody" in here("suppression", "list", *where).stdout
    assert (
        "nothing is sent to ada@example.org" in here("suppression", "add", "ada@example.org", *where).stdout
    )
    assert "manual" in here("suppression", "list", *where).stdout
    assert "written to again" in here("suppression", "remove", "ada@example.org", *where).stdout


@pytest.mark.parametrize(
    ("email", "category"), [("nobody", "*"), ("a" * 400 + "@example.org", "*"), ("ada@example.org", "news")]
)
def test_what_cannot_be_suppressed(here, email, category):
    """What is wrong is said with its remedy, and the exit code is that of a wrong argument."""
    ended = here("suppression", "add", email, "--category", category, "--organizer", "acme", "--data", "d")
    assert ended.returncode == ExitCode.USAGE
    assert "give" in ended.stderr or "choose" in ended.stderr or "use" in ended.stderr
    assert "Traceback" not in ended.stderr


async def made(directory) -> str:
    """A data directory with one registration and its notice; returns the notice's id."""
    directory.mkdir()
    ledger = await SqliteLedger.open(directory / "ledger.db")
    vault = await SqliteVault.open(directory / "vault.db")
    notices = await SqliteNotices.open(directory / "notices.db")
    await ledger.take_over(0, TERM, "test", LogIdentity("topic", 1, 0))
    state, event = PartitionState(0), ""
    [(key_id, key)] = await vault.reserve(1)
    registration = None
    for number in range(3):
        identity = command_id(["test", str(number)])
        body: Command = CreateEvent(event_spec(), "key_hash") if number == 0 else OpenEvent()
        if number == 2:
            person = Person("Ada", "ada@example.org")
            body = Register("a" * 32, seal(person, key, b"n" * 12, event, identity, key_id, 1), ("std",), 1)
        actor = Actor.REGISTRANT if number == 2 else Actor.ORGANIZER
        envelope = Envelope(identity, "acme", event, body, actor, 1_800_000_000_000, "f")
        record = LogRecord(state.next_offset, 1_800_000_000_000, encode_command(envelope))
        outcome = decide_batch(state, [Entry(record, envelope)], TERM, {})
        await ledger.commit(outcome.changes)
        event = outcome.changes.facts[0].fact.event
        registration = outcome.changes.facts[0].fact.registration
    assert registration is not None
    identity = notice_id(0, 3, registration.person, "email")
    notice = Notice(
        identity, "acme", event, 0, 3, "confirmed", registration.id, registration.person, "email", key_id, 1
    )
    await notices.record(0, 0, 3, Planned(notices=[notice]))
    for store in (ledger, vault, notices):
        await store.close()
    return identity


async def test_a_report_from_a_pipe(tmp_path, piped):
    """The stores that a platform uses: the notice is found, its box opened, and its address suppressed."""
    import asyncio

    notice = await made(tmp_path / "d")
    raw = dsn(failed()).replace(b"ntc_" + b"cd" * 16, notice.encode())
    ended = await asyncio.to_thread(piped, raw, "bounce", "--data", "d", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "notice": notice, "said": "hard", "status": "5.1.1", "suppressed": True,
    }  # fmt: skip
    signer = Signer(derive(read_master_key(tmp_path / "d" / "master.key"), "links"))
    outreach = await SqliteOutreach.open(tmp_path / "d" / "outreach.db")
    [kept] = await outreach.suppressions("acme", None, 10)
    await outreach.close()
    assert kept.address == AddressHashes.under(signer.secret).of("acme", "ada@example.org")
    assert kept.reason == "bounce"
    told = await asyncio.to_thread(piped, raw, "bounce", "--data", "d")
    assert "the mailbox does not exist (5.1.1); nothing more is sent there" in told.stdout


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "the report is empty"),
        (b"Subject: hello\r\n\r\nhello\r\n", "the report is no report"),
        (b"x" * 2_000_000, "the report is longer than a report may be"),
        (dsn(failed(), back=False), "the report names no mail of ours"),
        (dsn(failed()), "No such notice"),
    ],
)
async def test_a_report_that_cannot_be_used(tmp_path, piped, raw, said):
    """A mail server is told not to try again (sysexits' 65), and why."""
    import asyncio

    await made(tmp_path / "d")
    ended = await asyncio.to_thread(piped, raw, "bounce", "--data", "d")
    assert ended.returncode == ExitCode.UNUSABLE
    assert said in ended.stderr


def test_a_report_that_comes_too_early(tmp_path, piped):
    """Where there is no platform (yet), a mail server keeps the report and tries again (sysexits' 75)."""
    ended = piped(dsn(failed()), "bounce", "--data", "d")
    assert ended.returncode == ExitCode.TRY_LATER
    assert not (tmp_path / "d").exists()
