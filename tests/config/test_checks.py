"""Settings that contradict each other, settings that are worth a second look, and the printed reference."""

import re
from pathlib import Path

import pytest

from veltrix.config import ConfigError, load
from veltrix.config.loading import WITH_PASSWORDS
from veltrix.config.model import SETTINGS, is_loopback
from veltrix.config.reference import reference

ROOT = Path(__file__).parents[2]
HOME = {"HOME": "/home/someone"}


def told(**variables):
    """What is wrong with these variables (without their prefix)."""
    environ = HOME | {f"VELTRIX_{name.upper()}": value for name, value in variables.items()}
    with pytest.raises(ConfigError) as caught:
        load(environ=environ)
    return str(caught.value)


@pytest.mark.parametrize(
    ("variables", "keys"),
    [
        ({"log_undecided_max": "1000"}, ("log.undecided_max = 1000", "http.held_requests_max = 20000")),
        ({"http_rate_burst": "10"}, ("http.rate_burst = 10", "http.rate_per_address = 10000")),
        ({"imports_rows_max": "10"}, ("imports.rows_max = 10", "imports.in_flight = 256")),
        ({"notification_lease": "30 s"}, ('notification.lease = "30 s"', 'smtp.timeout = "30 s"')),
        (
            {"notification_channel": "smtp", "notification_sender": "a@b.example"},
            ('notification.channel = "smtp"', "smtp.host = (not set)"),
        ),
        (
            {"notification_channel": "smtp", "smtp_host": "mail.example.org"},
            ('notification.channel = "smtp"', "notification.sender", "set notification.sender"),
        ),
        ({"smtp_username": "me"}, ('smtp.username = "me"', "smtp.password = (not set)", "give both")),
        ({"smtp_password": "hunter2"}, ('smtp.password = "********"', "smtp.username = (not set)")),
        (
            {
                "smtp_username": "me",
                "smtp_password": "hunter2",
                "smtp_host": "mail.example.org",
                "smtp_security": "none",
            },
            ('smtp.security = "none"', 'smtp.host = "mail.example.org"', "smtp.password", "starttls"),
        ),
        (
            {"notification_spool_directory": "/d", "data_directory": "/d"},
            ("notification.spool_directory", "data.directory"),
        ),
    ],
)
def test_contradictions_name_both_keys_and_values(variables, keys):
    """Each contradiction names the keys, the values that are in effect, where they came from and a remedy."""
    text = told(**variables)
    for key in keys:
        assert key in text
    assert "contradicts" in text
    assert "VELTRIX_" in text
    assert "hunter2" not in text


def test_a_password_stays_on_this_machine_in_clear():
    """Without TLS a password may go to this machine itself, a development mail server say."""
    environ = {
        "VELTRIX_SMTP_USERNAME": "me",
        "VELTRIX_SMTP_PASSWORD": "pw",
        "VELTRIX_SMTP_SECURITY": "none",
        "VELTRIX_SMTP_HOST": "localhost",
    }
    load(environ=HOME | environ)


def test_password_and_password_file_exclude_each_other(tmp_path):
    """Two sources of one password are an error that names both."""
    (tmp_path / "password").write_text("a", encoding="utf-8")
    text = told(smtp_username="me", smtp_password="hunter2", smtp_password_file=str(tmp_path / "password"))
    assert "smtp.password_file" in text
    assert "smtp.password (VELTRIX_SMTP_PASSWORD) are both given" in text


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("app.localhost", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("mail", False),
    ],
)
def test_loopback_is_recognised(host, loopback):
    """Only what cannot leave this machine counts as loopback."""
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"VELTRIX_HTTP_HOST": "0.0.0.0"}, "http.public_url is not set"),
        ({"VELTRIX_HTTP_PUBLIC_URL": "http://tickets.example.org"}, "begins with http://"),
        ({"VELTRIX_HTTP_PUBLIC_URL": "http://tickets.example.org:8080"}, "begins with http://"),
        ({"VELTRIX_HTTP_PUBLIC_URL": "http://localhost:8080"}, None),
        ({"VELTRIX_HTTP_PUBLIC_URL": "http://[::1]:8080"}, None),
        ({"VELTRIX_SMTP_HOST": "mail.example.org"}, "mails are written to files, not sent"),
    ],
)
def test_remarks_tell_what_was_probably_not_meant(variables, expected):
    """What is allowed but strange is remarked; what is usual is not."""
    remarks = load(environ=HOME | variables).remarks
    assert len(remarks) == (0 if expected is None else 1)
    assert expected is None or expected in remarks[0]


def test_the_reference_is_current():
    """docs/configuration.md is what `veltrix config reference` prints now."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page.rstrip("\n") == reference().rstrip("\n"), "veltrix config reference > docs/configuration.md"


def test_the_reference_has_every_setting():
    """Each setting stands in the reference with its variable; each has a meaning that is a sentence."""
    page = reference()
    for setting in SETTINGS.values():
        assert f"### {setting.key}\n" in page
        assert f"`{setting.variable}`" in page
        assert setting.meaning.endswith(".")
        assert setting.default is not None or setting.derived


def test_the_example_in_the_reference_works(tmp_path):
    """The TOML that people copy from the page can be used, but for the password's place."""
    example = re.search(r"```toml\n(.*?)```", reference(), re.DOTALL)
    assert example is not None
    (tmp_path / "password").write_text("hunter2", encoding="utf-8")
    file = tmp_path / "veltrix.toml"
    file.write_text(example[1].replace("/run/secrets/smtp-password", "password"), encoding="utf-8")
    loaded = load(file, environ=HOME)
    assert loaded.config.notification.channel == "smtp"
    assert loaded.remarks == ()


@pytest.mark.parametrize(
    "sender", ["a@b.example", "Tickets <tickets@example.org>", '"A, B" <a@b.example>', "Ü <ü@ü.example>"]
)
def test_senders_that_pass_can_stand_in_mails(sender):
    """What the configuration takes as a sender, notification takes too."""
    from veltrix.domain.credentials import Signer
    from veltrix.notification.settings import NotificationSettings

    config = load(environ=HOME | {"VELTRIX_NOTIFICATION_SENDER": sender}).config
    settings = NotificationSettings("http://x", config.notification.sender, Signer(b"x" * 32), 1)
    assert "@" in settings.mail_sender().address


def test_every_setting_is_used():
    """No setting is only talk: what puts the platform together, or the command line, reads each of them."""
    files = {f"{section}.password_file" for section in WITH_PASSWORDS}
    used_here = {"http.public_url"} | files  # by `Http.url` and by the reader itself
    sources = [path for room in ("bootstrap", "cli") for path in (ROOT / "src/veltrix" / room).glob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    names = {setting.key: setting.attribute for setting in SETTINGS.values()}
    unused = {key for key, name in names.items() if not re.search(rf"\.{name}\b", text)}
    assert unused - used_here == set()
