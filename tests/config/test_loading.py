"""Where configuration comes from, who wins, and that everything wrong is told at once, with a remedy."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veltrix.config import Config, ConfigError, Secret, Source, load, state_directory
from veltrix.config.model import SETTINGS

HOME = {"HOME": "/home/someone"}


def write(tmp_path, text, name="veltrix.toml"):
    """A configuration file with that text."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def problems(file=None, overrides=None, environ=None):
    """What `load` finds wrong."""
    with pytest.raises(ConfigError) as caught:
        load(file, overrides, HOME | (environ or {}))
    return caught.value.problems


def only(found):
    """The one problem there is, as people see it."""
    assert len(found) == 1, found
    return str(found[0])


def test_defaults_are_complete():
    """Without any source there is a configuration, with the data below the home directory."""
    loaded = load(environ=HOME)
    assert loaded.config.http.port == 8080
    assert loaded.config.http.body_max_bytes == 64 * 1024
    assert loaded.config.data.directory == Path("/home/someone/.local/share/veltrix")
    assert loaded.config.notification.spool_directory == Path("/home/someone/.local/share/veltrix/spool")
    assert loaded.file is None
    assert {origin.source for origin in loaded.origins.values()} == {Source.DEFAULT}


def test_every_default_passes_its_own_check(tmp_path):
    """Each default, as the configuration shows it, may be written into a file."""
    import json

    lines, section = [], ""
    for setting in SETTINGS.values():
        if setting.default is None:
            continue
        if setting.section != section:
            section = setting.section
            lines.append(f"[{section}]")
        lines.append(f"{setting.name} = {json.dumps(setting.kind.show(setting.default))}")
    assert load(write(tmp_path, "\n".join(lines)), environ=HOME).config == load(environ=HOME).config


def test_the_configuration_is_frozen():
    """Nobody changes a setting after it was read."""
    config = load(environ=HOME).config
    for owner, name in ((config.http, "port"), (config, "http")):
        with pytest.raises(AttributeError):
            setattr(owner, name, 1)


def test_later_sources_win(tmp_path):
    """Defaults < file < variables < options; each value's origin is known, a file's with its line."""
    file = write(tmp_path, "[http]\nhost = '10.0.0.1'\nport = 1001\nbacklog = 100\n")
    loaded = load(
        file,
        {"http.port": ("--port", "1003")},
        HOME | {"VELTRIX_HTTP_PORT": "1002", "VELTRIX_HTTP_BACKLOG": "200"},
    )
    http = loaded.config.http
    assert (http.host, http.backlog, http.port) == ("10.0.0.1", 200, 1003)
    origins = {key: (origin.source, origin.where) for key, origin in loaded.origins.items()}
    assert origins["http.host"] == (Source.FILE, f"{file}:2")
    assert origins["http.backlog"] == (Source.ENVIRONMENT, "VELTRIX_HTTP_BACKLOG")
    assert origins["http.port"] == (Source.COMMAND_LINE, "--port")
    assert origins["http.rate_burst"] == (Source.DEFAULT, "")


def test_the_file_is_found(tmp_path):
    """The named file, else that of VELTRIX_CONFIG, else the user's own, when it is there."""
    own = tmp_path / "xdg" / "veltrix"
    own.mkdir(parents=True)
    write(own, "[http]\nport = 1\n")
    second = write(tmp_path, "[http]\nport = 2\n", "second.toml")
    third = write(tmp_path, "[http]\nport = 3\n", "third.toml")
    environ = HOME | {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert load(environ=environ).config.http.port == 1
    environ["VELTRIX_CONFIG"] = str(second)
    assert load(environ=environ).config.http.port == 2
    assert load(third, environ=environ).config.http.port == 3


def test_xdg_directories_are_honoured():
    """Data and state go where XDG variables say; relative ones are ignored, as the specification wants."""
    environ = HOME | {"XDG_DATA_HOME": "/srv/data", "XDG_STATE_HOME": "/srv/state"}
    assert load(environ=environ).config.data.directory == Path("/srv/data/veltrix")
    assert state_directory(environ) == Path("/srv/state/veltrix")
    environ = HOME | {"XDG_DATA_HOME": "data"}
    assert load(environ=environ).config.data.directory == Path("/home/someone/.local/share/veltrix")
    assert state_directory({}) is None


def test_without_a_home_the_data_needs_a_name():
    """No home directory and no data directory: an error that says how to name one."""
    with pytest.raises(ConfigError, match=r"data\.directory has no default without a home; name a directory"):
        load(environ={})
    assert load(environ={"VELTRIX_DATA_DIRECTORY": "/srv/v"}).config.data.directory == Path("/srv/v")


def test_relative_paths_start_at_the_file(tmp_path, monkeypatch):
    """A path in a file starts at the file's directory, any other at the working directory."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file = write(tmp_path / "etc", "[data]\ndirectory = 'data'\n")
    assert load(file, environ=HOME).config.data.directory == tmp_path / "etc" / "data"
    overrides = {"data.directory": ("--data", "data")}
    assert load(file, overrides, HOME).config.data.directory == tmp_path / "here" / "data"


def test_everything_wrong_is_told_at_once(tmp_path):
    """Problems of all sources come in one error."""
    file = write(tmp_path, "[http]\nprot = 8080\nbacklog = 'many'\n[smpt]\nhost = 'x'\n")
    found = problems(file, {"http.port": ("--port", "x")}, {"VELTRIX_LOG_LEVEL": "info"})
    assert [problem.key for problem in found] == [
        "http.prot",
        "[smpt]",
        "VELTRIX_LOG_LEVEL",
        "http.port",
        "http.backlog",
    ]
    assert all(problem.remedy for problem in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[http]\n\nprot = 1", ":3: http.prot = 1 is no setting that Veltrix knows; did you mean port?"),
        ("[htpp]", ":1: [htpp] is no section that Veltrix knows; did you mean [http]?"),
        ("port = 1", ":1: port stands outside a section; move it below [http]"),
        ("[http]\npartitions = 2", "no setting that Veltrix knows; did you mean it below [log]?"),
        ("[http]\nport = '8080'", '"8080" is text, not a whole number; write a number from 0 to 65,535'),
        ("[http]\nport = true", ":2: http.port = true is a boolean, not a whole number"),
        ("[http]\nport = 1.5", ":2: http.port = 1.5 is a number, not a whole number"),
        ("[http]\nport = 65536", ":2: http.port = 65536 is too large; choose a number from 0 to 65,535"),
        ("[http]\nport = -1", ":2: http.port = -1 is too small"),
        ("[http]\nport = " + "9" * 100, ":2: http.port = a huge number is too large"),
        ("[http]\nwait_default = 10", ":2: http.wait_default = 10 has no unit; write it with one, for"),
        ("[http]\nwait_default = inf", ":2: http.wait_default = inf has no unit"),
        ("[http]\nwait_default = '10 sec'", "has the unknown unit 'sec' (known are ms, s, min, h, d)"),
        ("[http]\nwait_default = '2 h'", ':2: http.wait_default = "2 h" is too long; use 0 s to 1 min'),
        ("[http]\nbody_max = 65536", ":2: http.body_max = 65536 has no unit"),
        ("[http]\nbody_max = '1 MiB'", ':2: http.body_max = "1 MiB" is too large; use 1 KiB to 64 KiB'),
        ("[http]\nhost = ''", ':2: http.host = "" is empty'),
        ("[http]\nhost = 'a\\u0000b'", "stands"),
        ('[http]\nhost = "a\\u001bb"', "has a line break or another control character in it"),
        ("[http]\nhost = ['a']", ':2: http.host = ["a"] is a list, not text'),
        ("[http]\nhost = 2026-01-01", "is a TOML date, not text"),
        ("[http]\ntrusted_proxies = '10.0.0.0/8'", "is text, not a list; write a list of networks"),
        ("[http]\ntrusted_proxies = ['10.0.0.1/8']", 'is an address inside a network; write "10.0.0.0/8"'),
        ("[http]\ntrusted_proxies = ['0.0.0.0/0']", "has every address there is (0.0.0.0/0)"),
        ("[webhooks]\nallow_networks = ['::/0']", "has every address there is (::/0)"),
        ("[http]\ntrusted_proxies = ['proxy']", "has 'proxy' in it, which is no network"),
        ("[http]\ntrusted_proxies = [1]", "has 1 in it, which is no network"),
        ("[http]\npublic_url = 'tickets.example.org'", "does not begin with http:// or https://"),
        ("[http]\npublic_url = 'ftp://example.org'", "does not begin with http:// or https://"),
        ("[http]\npublic_url = 'https://example.org/tickets'", "has a path, a query or a fragment"),
        ("[http]\npublic_url = 'https://me:pw@example.org'", "has a user name or a password in it"),
        ("[http]\npublic_url = 'https://example.org:99999'", "is no URL"),
        ("[http]\npublic_url = 'https://'", "names no host"),
        ("[notification]\nchannel = 'mail'", '"mail" is not a choice here; choose "spool" or "smtp"'),
        ("[notification]\nsender = 'nobody'", "is no e-mail address"),
        ("[notification]\nsender = 'A <a b@c.example>'", "is no e-mail address"),
        ("[notification]\nsender = 'a@[127.0.0.1]'", "is no e-mail address"),
        ("[notification]\nreply_to = '@example.org'", "is no e-mail address"),
        ("[logging]\ntracebacks = 'yes'", "is text, not a boolean; write true or false, without"),
        ("http = 5", ":1: http = 5 is a section; write a line [http]"),
        ("[http.port]\nx = 1", "is a TOML dict, not a whole number"),
        ("[[http]]\nport = 1", "is a section"),
        ("[smtp]\npasswort = 'hunter2'", ":2: smtp.passwort = ******** is no setting that"),
        ("[smtp]\npassword = 12345", ":2: smtp.password = ******** is a whole number, not text"),
        ("[a]", "the sections are http, data"),
        ("[http]\nport = 1\nport = 2", "is not valid TOML"),
        ("[http\nport = 1", ":1: the file is not valid TOML: Expected"),
        ("[http]\nhost = 'a\n", ":2: the file is not valid TOML"),
        ("[http]\nport = " + "9" * 5000, "is not valid TOML"),
        ("x = " + "[" * 5000, "is not valid TOML"),
    ],
)
def test_problems_of_a_file_name_place_value_and_remedy(tmp_path, text, expected):
    """Every wrong line is told with file, line, key, value and what to do instead."""
    if expected == "stands":
        expected = "the file is not valid TOML"  # a NUL cannot even be written into TOML
        text = text.replace("\\u0000", "\0")
    file = write(tmp_path, text)
    told = only(problems(file))
    assert expected in told
    assert str(file) in told


def test_files_that_cannot_be_read_are_told(tmp_path):
    """A missing file, a directory, a file that is no text, or one far too large: an error, no traceback."""
    assert "does not exist" in only(problems(tmp_path / "none.toml"))
    assert "is a directory" in only(problems(tmp_path))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe[http]")
    assert "is not UTF-8 text" in only(problems(binary))
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (1024 * 1024 + 1))
    assert "is larger than 1 MiB" in only(problems(large))
    assert "does not exist" in only(problems(environ={"VELTRIX_CONFIG": str(tmp_path / "none.toml")}))


def test_a_byte_order_mark_is_no_error(tmp_path):
    """Editors on Windows put one before the text."""
    file = tmp_path / "bom.toml"
    file.write_bytes(b"\xef\xbb\xbf[http]\nport = 7\n")
    assert load(file, environ=HOME).config.http.port == 7


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("VELTRIX_HTTP_PROT", "1", "did you mean VELTRIX_HTTP_PORT?"),
        ("VELTRIX_PORT", "1", "did you mean VELTRIX_HTTP_PORT?"),
        ("VELTRIX_ZZZZZZZZZZZ", "1", "unset it (veltrix config reference lists all)"),
        ("VELTRIX_http_port", "1", "did you mean VELTRIX_HTTP_PORT?"),
        ("VELTRIX_HTTP_PORT", "", 'VELTRIX_HTTP_PORT: http.port = "" is not a whole number'),
        ("VELTRIX_HTTP_PORT", "80 80", "is not a whole number"),
        ("VELTRIX_HTTP_PORT", "9" * 100_000, "is not a whole number"),
        ("VELTRIX_HTTP_WAIT_DEFAULT", "10", "has no unit"),
        ("VELTRIX_HTTP_TRUSTED_PROXIES", "10.0.0.0/8,,", "has '' in it, which is no network"),
        ("VELTRIX_LOGGING_TRACEBACKS", "1", "is neither true nor false; write true or false"),
        ("VELTRIX_SMTP_PASSWORT", "hunter2", "VELTRIX_SMTP_PASSWORT = ********"),
    ],
)
def test_problems_of_variables_name_them(variable, text, expected):
    """A wrong or unknown variable is told by its name, with what was probably meant."""
    told = only(problems(environ={variable: text}))
    assert expected in told
    assert variable in told
    assert "hunter2" not in told
    assert len(told) < 400


def test_variables_have_the_types_of_the_file():
    """Numbers, booleans, lists, durations and paths are read from text."""
    config = load(
        environ=HOME
        | {
            "VELTRIX_HTTP_PORT": "0",
            "VELTRIX_HTTP_TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::/32",
            "VELTRIX_HTTP_WAIT_DEFAULT": "250ms",
            "VELTRIX_LOGGING_TRACEBACKS": "true",
            "VELTRIX_HTTP_PUBLIC_URL": "https://tickets.example.org/",
        }
    ).config
    assert config.http.port == 0
    assert config.http.trusted_proxies == ("10.0.0.0/8", "2001:db8::/32")
    assert config.http.wait_default_s == 0.25
    assert config.logging.tracebacks is True
    assert config.http.public_url == "https://tickets.example.org"


def test_other_programs_variables_are_let_be():
    """Only names that begin with VELTRIX_ are Veltrix' own."""
    load(environ=HOME | {"VELTRIXX": "1", "MY_VELTRIX_HTTP_PROT": "1", "_VELTRIX_COMPLETE": "bash_source"})


def test_secrets_are_never_shown(tmp_path):
    """A password shows stars wherever it is printed, and is there for who asks for it by name."""
    environ = HOME | {"VELTRIX_SMTP_PASSWORD": "hunter2", "VELTRIX_SMTP_USERNAME": "me"}
    config = load(environ=environ).config
    assert config.smtp.password == Secret("hunter2")
    assert config.smtp.password.reveal() == "hunter2"
    for text in (repr(config), str(config.smtp), f"{config.smtp.password}", f"{config.smtp.password!r}"):
        assert "hunter2" not in text
        assert "********" in text


def test_a_password_file_is_read(tmp_path):
    """The password comes from the file, without its final line break; its origin is the file."""
    (tmp_path / "password").write_text("hunter2\n", encoding="utf-8")
    file = write(tmp_path, "[smtp]\nusername = 'me'\npassword_file = 'password'\n")
    loaded = load(file, environ=HOME)
    assert loaded.config.smtp.password == Secret("hunter2")
    assert loaded.origins["smtp.password"].where == str(tmp_path / "password")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read"),
        ("", "does not hold one line"),
        ("a\nb", "does not hold one line"),
        ("x" * 5000, "one line"),
    ],
)
def test_bad_password_files_are_told(tmp_path, content, expected):
    """A missing, empty or strange password file is an error that does not show what is in it."""
    path = tmp_path / "password"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    environ = {"VELTRIX_SMTP_USERNAME": "me", "VELTRIX_SMTP_PASSWORD_FILE": str(path)}
    told = "\n".join(map(str, problems(environ=environ)))
    assert expected in told
    assert "xxxx" not in told


def test_smtp_port_follows_security():
    """Without a port the server's usual one for that security is taken; a given one stays."""
    for security, port in (("none", 25), ("starttls", 587), ("tls", 465)):
        assert load(environ=HOME | {"VELTRIX_SMTP_SECURITY": security}).config.smtp.port == port
    environ = HOME | {"VELTRIX_SMTP_SECURITY": "tls", "VELTRIX_SMTP_PORT": "2525"}
    assert load(environ=environ).config.smtp.port == 2525


@pytest.mark.parametrize(
    ("host", "public", "url", "local"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:81", "http://127.0.0.1:81"),
        ("0.0.0.0", None, "http://127.0.0.1:81", "http://127.0.0.1:81"),
        ("::", None, "http://[::1]:81", "http://[::1]:81"),
        ("localhost", "https://t.example", "https://t.example", "http://localhost:81"),
    ],
)
def test_urls_are_derived(host, public, url, local):
    """Links begin with the public URL, or with where this machine reaches Veltrix; IPv6 gets brackets."""
    environ = HOME | {"VELTRIX_HTTP_HOST": host} | ({"VELTRIX_HTTP_PUBLIC_URL": public} if public else {})
    http = load(environ=environ).config.http
    assert http.url(81) == url
    assert http.local_url(81) == local


@given(st.dictionaries(st.sampled_from(sorted(s.variable for s in SETTINGS.values())), st.text(max_size=30)))
def test_no_text_breaks_the_reader(environ):
    """Whatever variables hold, there is a configuration or an error with remedies, nothing else."""
    try:
        loaded = load(environ=HOME | {k: v.replace("\0", "") for k, v in environ.items()})
    except ConfigError as error:
        assert all(problem.message and problem.remedy for problem in error.problems)
    else:
        assert isinstance(loaded.config, Config)


@given(st.text(max_size=200))
def test_no_file_breaks_the_reader(tmp_path_factory, text):
    """Whatever a file holds, there is a configuration or an error with remedies, nothing else."""
    path = tmp_path_factory.getbasetemp() / "hostile.toml"
    path.write_bytes(f"[http]\n{text}".encode("utf-8", "surrogatepass"))
    try:
        load(path, environ=HOME)
    except ConfigError as error:
        assert all(problem.message and problem.remedy for problem in error.problems)
