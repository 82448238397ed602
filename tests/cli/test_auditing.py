"""What people read of an audit, and its exit code."""

import pytest

from veltrix import bootstrap
from veltrix.audit import AuditReport, Difference


@pytest.fixture
def audited(here, tmp_path, monkeypatch):
    """`audited(report, *arguments)` runs `veltrix audit` with that result."""
    data = tmp_path / ".local/share/veltrix"
    data.mkdir(parents=True)
    (data / "log.db").touch()

    def run(report, *arguments):
        async def audit(config, progress):
            assert config.data.directory == data
            progress(report.commands, report.commands)
            return report

        monkeypatch.setattr(bootstrap, "audit", audit)
        return here("audit", *arguments)

    return run


def test_a_sound_ledger_passes(audited):
    """What was replayed and compared, then the verdict; exit code 0."""
    ended = audited(AuditReport(partitions=1, commands=12_345, rows={"events": 2, "seats": 7_000}))
    replayed, compared, verdict = ended.stdout.splitlines()
    assert replayed.startswith("Replayed 12,345 commands of 1 partition(s) in ")
    assert compared == "Compared 2 events, 7,000 seats"
    assert verdict == "VERDICT PASS: the ledger is what the log leads to"
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_difference_is_shown(audited):
    """Both rows as they are, however they look, and the verdict last; exit code 1."""
    report = AuditReport(
        partitions=1,
        commands=3,
        quarantined=1,
        difference=Difference("seats", "seats('evt_1', 7, '[bold]taken')", None),
        reason="ledger and replay differ in table seats",
    )
    ended = audited(report)
    assert "1 quarantined" in ended.stdout
    assert "  ledger: seats('evt_1', 7, '[bold]taken')\n  replay: (no such row)\n" in ended.stdout
    assert ended.stdout.endswith("VERDICT FAIL: ledger and replay differ in table seats\n")
    assert ended.returncode == 1


def test_an_empty_ledger_is_sound(audited):
    """A platform that was never used passes."""
    assert "Compared nothing: the ledger is empty" in audited(AuditReport()).stdout
