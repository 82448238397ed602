"""`veltrix template`: an organizer's own texts, on a running platform."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from veltrix.cli.asking import URL_DEFAULT, Key, Url, ask
from veltrix.cli.options import Json

app = typer.Typer(help="An organizer's own texts for mails.", no_args_is_help=True)

Kind = Annotated[str, typer.Argument(metavar="KIND", help="The kind of notice, such as reminder.")]
Locale = Annotated[str, typer.Argument(metavar="LOCALE", help="The language, such as en or de-CH.")]
Subject = Annotated[str | None, typer.Option(metavar="TEXT", help="The subject.", show_default=False)]
Text = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The text, in a file.", exists=True, dir_okay=False, show_default=False
    ),
]
Html = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The HTML, in a file; made from the text without one.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
OfEvent = Annotated[
    str | None, typer.Option("--event", metavar="ID", help="An event of yours, instead of a made-up one.")
]


@app.command("list")
def list_(url: Url = URL_DEFAULT, key: Key = "", as_json: Json = False) -> None:
    """List your templates. Kinds without one are told in Veltrix's words."""
    found = ask("GET", "/v1/templates", url, key)
    from veltrix.cli.output import console, print_json, print_table

    if as_json:
        print_json(found)
        return
    if not found["items"]:
        kinds = ", ".join(found["kinds"])
        console().print(f"No templates. The kinds are {kinds}.", markup=False, soft_wrap=True)
        return
    from rich.table import Table
    from rich.text import Text as Words

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Kind", "Locale", "Version", "Changed", "Subject"):
        table.add_column(column, overflow="fold")
    for each in found["items"]:
        changed = each["changed_at"][:16].replace("T", " ")
        table.add_row(each["kind"], each["locale"], str(each["version"]), changed, Words(each["subject"]))
    print_table(table)


@app.command("variables")
def variables(url: Url = URL_DEFAULT, key: Key = "", as_json: Json = False) -> None:
    """List what a template may name."""
    found = ask("GET", "/v1/templates", url, key)["variables"]
    from veltrix.cli.output import print_json, print_text

    if as_json:
        print_json(found)
        return
    for each in found:
        kind = " (placed only)" if each["personal"] else ""
        print_text(f"{each['name']:<16} {each['meaning']}{kind}")


@app.command("show")
def show(kind: Kind, locale: Locale, url: Url = URL_DEFAULT, key: Key = "", as_json: Json = False) -> None:
    """Print one of your templates."""
    found = ask("GET", _path(kind, locale), url, key)
    from veltrix.cli.output import print_json, print_text

    if as_json:
        print_json(found)
    else:
        print_text(f"Subject: {found['subject']}\n\n{found['text']}")
        if found["html"]:
            print_text(f"\n{found['html']}")


@app.command("save")
def save(
    kind: Kind,
    locale: Locale,
    subject: Annotated[str, typer.Option(metavar="TEXT", help="The subject.", show_default=False)],
    text: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The text, in a file.", exists=True, dir_okay=False, show_default=False
        ),
    ],
    html: Html = None,
    url: Url = URL_DEFAULT,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Save a template, once it was tried out. From then on people with this locale are told in it."""
    saved = ask("PUT", _path(kind, locale), url, key, _body(subject, text, html, None))
    from veltrix.cli.output import print_json, print_text, warn

    for each in saved["warnings"]:
        warn(each)
    if as_json:
        print_json(saved)
    else:
        print_text(f"Saved {saved['kind']} {saved['locale']}, version {saved['version']}.")


@app.command("remove")
def remove(kind: Kind, locale: Locale, url: Url = URL_DEFAULT, key: Key = "", as_json: Json = False) -> None:
    """Take a template away: people are told in Veltrix's words again."""
    ask("DELETE", _path(kind, locale), url, key)
    from veltrix.cli.output import print_json, print_text

    if as_json:
        print_json({"kind": kind, "locale": locale, "removed": True})
    else:
        print_text(f"Removed {kind} {locale}.")


@app.command("preview")
def preview(
    kind: Kind,
    locale: Locale,
    subject: Subject = None,
    text: Text = None,
    html: Html = None,
    event: OfEvent = None,
    as_html: Annotated[bool, typer.Option("--as-html", help="Print the HTML part instead.")] = False,
    url: Url = URL_DEFAULT,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Print a mail as a made-up person gets it: with these files, else as people get it now."""
    found = ask("POST", f"{_path(kind, locale)}/preview", url, key, _body(subject, text, html, event))
    from veltrix.cli.output import print_json, print_text, warn

    for each in found["warnings"]:
        warn(each)
    if as_json:
        print_json(found)
    elif as_html:
        print_text(found["html"])
    else:
        print_text(f"Subject: {found['subject']}\n\n{found['text']}")


@app.command("test")
def test(
    kind: Kind,
    locale: Locale,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Your own address.", show_default=False)],
    subject: Subject = None,
    text: Text = None,
    html: Html = None,
    event: OfEvent = None,
    url: Url = URL_DEFAULT,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Have such a mail sent to yourself."""
    body = {**_body(subject, text, html, event), "to": to}
    found = ask("POST", f"{_path(kind, locale)}/test", url, key, body)
    from veltrix.cli.output import print_json, print_text

    if as_json:
        print_json(found)
    else:
        print_text(f"Ordered ({found['order']}); it is sent within seconds.")


def _path(kind: str, locale: str) -> str:
    from urllib.parse import quote

    return f"/v1/templates/{quote(kind, safe='')}/{quote(locale, safe='')}"


def _body(subject: str | None, text: Path | None, html: Path | None, event: str | None) -> dict[str, Any]:
    """What the options say, as the API takes it."""
    said: dict[str, Any] = {"subject": subject, "event": event}
    for name, file in (("text", text), ("html", html)):
        said[name] = None if file is None else _read(file)
    return {name: value for name, value in said.items() if value is not None}


def _read(file: Path) -> str:
    from veltrix.cli.exits import ExitCode
    from veltrix.cli.failures import Failure

    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}", "save it as UTF-8", ExitCode.USAGE) from None
