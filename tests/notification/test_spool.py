"""Mail as files."""

from __future__ import annotations

import asyncio
import os

import pytest

from veltrix.adapters.spool import Spool
from veltrix.ports.channel import Attempt, Mail, Sent
from veltrix.ports.errors import Unavailable


def mail(number: int = 1, content: bytes = b"Subject: x\r\n\r\nbody\r\n") -> Mail:
    """A small mail."""
    return Mail(f"ntc_{number:032x}", "no-reply@tickets.example", "ada@example.org", content)


@pytest.fixture(params=[False, True], ids=["unsynced", "synced"])
async def spool(request, tmp_path):
    """A spool in a directory of its own."""
    made = Spool(tmp_path / "deep" / "spool", sync=request.param)
    yield made
    await made.close()


async def test_each_mail_is_one_file(spool, tmp_path):
    """A mail is a file named by its notice, with its bytes, that only its owner may read."""
    attempts = await asyncio.gather(*(spool.send(mail(number)) for number in range(300)))
    assert set(attempts) == {Attempt(Sent.ACCEPTED)}
    files = list((tmp_path / "deep" / "spool").iterdir())
    assert {file.name for file in files} == {f"ntc_{number:032x}.eml" for number in range(300)}
    assert all(file.read_bytes() == mail().content for file in files)
    assert files[0].stat().st_mode & 0o077 == 0


async def test_the_same_notice_twice_is_one_file(spool):
    """A second attempt replaces the file whole."""
    await spool.send(mail(content=b"first, and longer"))
    await asyncio.gather(spool.send(mail(content=b"second")), spool.send(mail(content=b"second")))
    assert spool.path(mail().notice).read_bytes() == b"second"


async def test_forgetting_leaves_nothing(spool, tmp_path):
    """What is forgotten is gone, its text overwritten before; what was not there is no error."""
    await spool.send(mail(1, b"the secret name"))
    await spool.send(mail(2))
    kept = os.open(spool.path(mail(1).notice), os.O_RDONLY)
    try:
        await spool.forget([mail(1).notice, mail(3).notice, "../../etc/passwd"])
        assert os.read(kept, 100) == bytes(len(b"the secret name"))
    finally:
        os.close(kept)
    assert [file.name for file in (tmp_path / "deep" / "spool").iterdir()] == [f"{mail(2).notice}.eml"]


async def test_what_waits_to_be_written_is_forgotten_too(spool):
    """A mail that did not come to its turn yet is not written after it was forgotten."""
    sending = [asyncio.create_task(spool.send(mail(number))) for number in range(3)]
    await asyncio.sleep(0)
    await spool.forget([mail(number).notice for number in range(3)])
    await asyncio.gather(*sending)
    assert [number for number in range(3) if spool.path(mail(number).notice).exists()] == []


async def test_a_failing_disk_is_no_loss(spool, tmp_path):
    """Where a file cannot be written the mail was not sent, and the next one may be."""
    await spool.send(mail(1))
    directory = tmp_path / "deep" / "spool"
    blocked = directory / f"{mail(2).notice}.eml"
    blocked.mkdir()
    attempt = await spool.send(mail(2))
    assert attempt.sent in (Sent.NOT_SENT, Sent.UNKNOWN)
    assert await spool.send(mail(3)) == Attempt(Sent.ACCEPTED)


async def test_a_removed_directory_is_made_again(spool, tmp_path):
    """Somebody who clears the spool by removing it stops nothing."""
    await spool.send(mail(1))
    spool.path(mail(1).notice).unlink()
    (tmp_path / "deep" / "spool").rmdir()
    assert await spool.send(mail(2)) == Attempt(Sent.ACCEPTED)


async def test_a_mail_that_cannot_be_forgotten_is_an_error(spool):
    """Whoever was promised that it is gone must know."""
    spool.path(mail(1).notice).mkdir()
    with pytest.raises(Unavailable):
        await spool.forget([mail(1).notice])


async def test_leftovers_are_swept(tmp_path):
    """What a process was writing when it ended is removed at the next start; whole mails stay."""
    (tmp_path / ".123-0.partial").write_bytes(b"half")
    (tmp_path / f"{mail(1).notice}.eml").write_bytes(b"whole")
    spool = Spool(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [f"{mail(1).notice}.eml"]
    await spool.close()


async def test_no_notice_names_a_file_elsewhere(spool):
    """An id that is none of ours is refused, whatever path it spells."""
    bad = Mail("../ntc_" + "a" * 32, "x", "y", b"")
    assert (await spool.send(bad)).sent is Sent.REFUSED


async def test_closing_finishes(spool):
    """What was handed over is written before the spool is closed; later mails are not taken."""
    sending = [asyncio.create_task(spool.send(mail(number))) for number in range(20)]
    await asyncio.sleep(0)
    await spool.close()
    await spool.close()
    assert {(await each).sent for each in sending} == {Sent.ACCEPTED}
    assert (await spool.send(mail(99))).sent is Sent.NOT_SENT
