"""The reference of all settings, printed from their definitions."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator

from veltrix.config.model import FILE_VARIABLE, SECTIONS, SETTINGS, Setting

_INTRODUCTION = f"""\
# Configuration

Veltrix runs without any configuration. What you want otherwise goes into a TOML file, into environment
variables, or into options of the command line; each wins over those before it:

1. the defaults below;
2. a file: `--config FILE`, else `${FILE_VARIABLE}`, else `$XDG_CONFIG_HOME/veltrix/veltrix.toml`
   (`~/.config/veltrix/veltrix.toml`) if there is one;
3. variables: `VELTRIX_`, the section, `_` and the key, in capitals: `port` of `[http]` is
   `VELTRIX_HTTP_PORT`; items of a list are separated by commas;
4. options such as `--port`.

Durations and sizes are written with their unit: `"250 ms"`, `"5 s"`, `"2 min"`, `"1 h"`, `"1 d"`; `"512 B"`,
`"64 KiB"`, `"1 MiB"`. A relative path starts at the directory of the file that names it, or at the working
directory. An unknown key, a wrong unit or a contradiction is an error that says what to do.

`veltrix config show` prints what is in effect and where it came from, `veltrix config check` what is wrong.
This page is printed by `veltrix config reference`.

```toml
[http]
host = "0.0.0.0"
public_url = "https://tickets.example.org"
trusted_proxies = ["10.0.0.0/8"]

[notification]
channel = "smtp"
sender = "Tickets <tickets@example.org>"

[smtp]
host = "mail.example.org"
username = "tickets"
password_file = "/run/secrets/smtp-password"
```
"""


def reference() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_INTRODUCTION, *(line for section in SECTIONS for line in _section(section))])


def _section(section: str) -> Iterator[str]:
    yield f"## [{section}]"
    yield ""
    yield inspect.cleandoc(SECTIONS[section].__doc__ or "")
    for setting in SETTINGS.values():
        if setting.section == section:
            yield ""
            yield from _setting(setting)
    yield ""


def _setting(setting: Setting) -> Iterator[str]:
    yield f"### {setting.key}"
    yield ""
    yield setting.meaning
    yield ""
    yield f"- Value: {setting.kind.description}"
    yield f"- Default: {_default(setting)}"
    yield f"- Variable: `{setting.variable}`"


def _default(setting: Setting) -> str:
    if setting.default is None:
        return setting.derived
    return f"`{json.dumps(setting.kind.show(setting.default), ensure_ascii=False)}`"
