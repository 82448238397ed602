"""The texts of mails: Jinja2 templates, rendered once for everyone, with blanks where a person's values go.

A template sees what is the same for all (event, kind, state) as values, and what is personal (name, link,
deadline, seats, reference) as blanks that it can place but not look into. A name that a template uses and
that it was not given is an error, at the moment the template is prepared.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

from jinja2 import PackageLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from veltrix.domain.notices import NoticeKind
from veltrix.notification.formats import NO_BREAK
from veltrix.notification.mime import Form, blank

PERSONAL: Final = ("name", "link", "deadline", "seats", "registration", "unsubscribe")
_SEAT: Final = ("number", "attendee", "ticket", "picture")
_TOTAL: Final = ("total",)


class Prose(NamedTuple):
    """A text in its two forms; `subject` is empty where it is a part of a mail only."""

    subject: str
    text: Form
    html: Form


class Texts:
    """The templates of every kind and language."""

    def __init__(self) -> None:
        self._text = _environment(autoescape=False)
        self._html = _environment(autoescape=True)

    def load(self) -> None:
        """Compile every template, in about 0.2 s: better at the start than when the first mails are due."""
        for environment in (self._text, self._html):
            for name in environment.list_templates():
                environment.get_template(name)

    def mail(self, kind: NoticeKind, language: str, values: dict[str, Any]) -> Prose:
        """The text of a kind of mail; `values` hold what is the same for all whom it goes to."""
        name = f"{language}/{kind}.j2"
        context = {**values, "language": language}
        text = self._text.get_template(name)
        plain = {**context, **_blanks(PERSONAL), "layout": "layout.txt.j2"}
        subject = "".join(text.blocks["subject"](text.new_context(plain)))
        html = {**context, **_blanks(PERSONAL, Markup), "layout": "layout.html.j2"}
        rendered = self._html.get_template(name).render(html)
        return Prose(subject.strip(), Form(_plain(text.render(plain))), Form(_dense(rendered)))

    def seat(self, language: str, values: dict[str, Any]) -> Prose:
        """The lines of one seat."""
        return self._part("seat", language, values, _SEAT)

    def total(self, language: str) -> Prose:
        """The line of what all seats cost together."""
        return self._part("total", language, {}, _TOTAL)

    def _part(self, name: str, language: str, values: dict[str, Any], names: tuple[str, ...]) -> Prose:
        context = {**values, "language": language}
        text = self._text.get_template(f"{name}.txt.j2").render({**context, **_blanks(names)})
        html = self._html.get_template(f"{name}.html.j2").render({**context, **_blanks(names, Markup)})
        return Prose("", Form(_plain(text)), Form(_dense(html)))


@lru_cache(maxsize=1)
def shared_texts() -> Texts:
    """The texts of this process, compiled once however many services use them."""
    return Texts()


def _environment(*, autoescape: bool) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=PackageLoader("veltrix.notification"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["paragraphs"] = _html_paragraphs if autoescape else _text_paragraphs
    environment.filters["first_paragraph"] = _first_paragraph
    return environment


def _blanks(names: tuple[str, ...], wrap: type[str] = str) -> dict[str, str]:
    return {name: wrap(blank(name)) for name in names}


def _split(text: str) -> list[str]:
    """Paragraphs are what blank lines part; line ends inside of one are only the template's."""
    return [" ".join(each.split()) for each in text.replace("\n\n", "\0").split("\0") if each.strip()]


def _text_paragraphs(text: str) -> str:
    return "\n\n".join(_split(text))


def _html_paragraphs(text: Markup) -> Markup:
    return Markup("\n").join(
        Markup(f'<p style="margin:0 0 12px">{each}</p>')  # noqa: S704 - as above
        for each in _split(str(text))
    )


def _first_paragraph(text: Markup) -> Markup:
    return Markup(next(iter(_split(str(text))), ""))  # noqa: S704 - as above


def _plain(text: str) -> str:
    """Plain text has no use for no-break spaces: people search and copy it."""
    return text.replace(NO_BREAK, " ")


def _dense(html: str) -> str:
    """Without the blank lines that statements leave."""
    return "\n".join(line for line in html.splitlines() if line.strip()) + "\n"
