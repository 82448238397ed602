"""Organizers' texts in mails: whose they are, in whose language, and that none of them can do harm."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.notification.letterbox import material, rendered
from tests.notification.stage import ORGANIZER, SENDER, SIGNER, TEXTS
from veltrix.adapters.memory import MemoryOutreach
from veltrix.domain import limits
from veltrix.domain.notices import NoticeKind
from veltrix.notification.own_book import OwnBook
from veltrix.notification.own_texts import KNOWN, OwnText, samples
from veltrix.notification.proofs import LetterProofs
from veltrix.notification.renderer import Renderer
from veltrix.notification.template_language import TemplateFault, compiled
from veltrix.notification.template_language import rendered as said
from veltrix.ports.outreach import NoticeTemplate
from veltrix.ports.proofs import Draft
from veltrix.sealing import Person

PROOFS = LetterProofs(SENDER, TEXTS)
ADA = Person("Ada Lovelace", "ada@example.org")
ANNA = Person("Anna Müller", "anna@example.org", "de-AT")
LUC = Person("Luc Petit", "luc@example.org", "fr-CA")


def template(
    locale: str, subject: str, kind: str = "reminder", version: int = 1, **more: Any
) -> NoticeTemplate:
    """A saved template."""
    body: dict[str, Any] = {"text": "Hi {{ name }}\n{{ seats }}{{ link }}\n", "html": "", "created_ms": 1}
    return NoticeTemplate(ORGANIZER, kind, locale, version, subject, **body | more)


async def book(*saved: NoticeTemplate) -> tuple[OwnBook, MemoryOutreach]:
    """A book with these texts, at hand for the tests' organizer."""
    outreach = MemoryOutreach()
    for each in saved:
        await outreach.save_template(each)
    made = OwnBook(outreach)
    await made.prepare([ORGANIZER])
    return made, outreach


def subject_for(made: OwnBook, person: Person) -> str:
    """The subject of a reminder's mail to this person."""
    renderer = Renderer(SENDER, SIGNER, TEXTS, book=made)
    mail = rendered(material(NoticeKind.REMINDER, person), renderer)
    return str(mail.message["subject"])


async def test_people_are_told_in_their_language_before_anybodys_words():
    """The organizer's text in one's language, then ours in it, then the organizer's in the event's."""
    english, _ = await book(template("en", "Mine"))
    assert subject_for(english, ADA) == "Mine"
    assert subject_for(english, ANNA) == "Erinnerung: Herbsttagung & Messe"
    assert subject_for(english, LUC) == "Mine"
    all_of_them, _ = await book(
        template("en", "Mine"), template("de", "Meine"), template("de-AT", "Servus"), template("fr", "Mien")
    )
    assert subject_for(all_of_them, ANNA) == "Servus"
    assert subject_for(all_of_them, replace_locale(ANNA, "de-CH")) == "Meine"
    assert subject_for(all_of_them, LUC) == "Mien"
    other_kind, _ = await book(template("en", "Mine", kind="confirmed"))
    assert subject_for(other_kind, ADA) == "Reminder: Autumn Conference & Fair"


def replace_locale(person: Person, locale: str) -> Person:
    """The person with another locale."""
    return Person(person.name, person.email, locale)


async def test_a_change_counts_from_the_next_mail_on():
    """What was saved or taken away is seen when the next mails are prepared, and nothing is read before."""
    made, outreach = await book(template("en", "First"))
    assert subject_for(made, ADA) == "First"
    await outreach.save_template(template("en", "Second", version=2, created_ms=2))
    assert subject_for(made, ADA) == "First"
    await made.prepare([ORGANIZER])
    assert subject_for(made, ADA) == "Second"
    await outreach.drop_template(ORGANIZER, "reminder", "en")
    await outreach.save_template(template("en", "Anew", created_ms=3))
    await made.prepare([ORGANIZER])
    assert subject_for(made, ADA) == "Anew"
    await outreach.drop_template(ORGANIZER, "reminder", "en")
    await made.prepare([ORGANIZER])
    assert subject_for(made, ADA) == "Reminder: Autumn Conference & Fair"


async def test_a_text_that_this_version_cannot_use_keeps_nobody_from_being_told():
    """Ours is sent instead: a template that another version let through must not stop mails."""
    made, _ = await book(template("en", "{{ gone }}"))
    assert subject_for(made, ADA) == "Reminder: Autumn Conference & Fair"


async def test_what_people_say_is_only_text():
    """A name with markup, template syntax and line ends is text in both parts, and no header."""
    made, _ = await book(template("en", "Mine", html='<p title="{{ name }}">{{ name }}</p>'))
    odd = Person('<b>{{ title }}</b>\r\nBcc: all@example.org"', "ada@example.org")
    mail = rendered(material(NoticeKind.REMINDER, odd), Renderer(SENDER, SIGNER, TEXTS, book=made))
    assert mail.message["bcc"] is None
    assert "&lt;b&gt;{{ title }}&lt;/b&gt; Bcc: all@example.org&quot;" in mail.html
    assert "<b>" not in mail.html
    assert 'Hi <b>{{ title }}</b> Bcc: all@example.org"' in mail.text


@pytest.mark.parametrize("kind", NoticeKind)
@pytest.mark.parametrize("locale", ["en", "de", "fr"])
def test_there_is_a_proof_of_every_kind(kind: NoticeKind, locale: str):
    """Ours and an organizer's own; a simple text has no fault in any kind."""
    standard = PROOFS.proof(Draft(kind, locale, "", ""), None)
    assert standard.subject and standard.text and "</html>" in standard.html
    draft = Draft(kind, locale, "About {{ title }}", "{{ name }} {{ link }} {{ deadline }} {{ seats }}")
    assert PROOFS.faults(draft) == []
    assert "Alex Sample" in PROOFS.proof(draft, None).text or "Erika" in PROOFS.proof(draft, None).text


def test_every_variable_can_be_used_in_every_variant():
    """All that the list names has a value in all samples: a text that uses it never fails for anybody."""
    source = "".join(f"{{{{ {name} }}}}" for name in sorted(KNOWN.common | KNOWN.personal))
    for kind in NoticeKind:
        assert all(KNOWN.common <= values.keys() for values in samples(kind))
        OwnText(Draft(kind, "en", "{{ title }}", source, source)).try_out()


PIECES = st.sampled_from(
    [
        "text ",
        "{{ title }}",
        "{{ name }}",
        "{{ venue|upper }}",
        "{{ 'a' * 10**9 }}",
        "{{ 9**9**9 }}",
        "{% if has_link %}",
        "{% if venue == 'x' %}",
        "{% else %}",
        "{% endif %}",
        "{{ title or venue }}",
        "{% for x in range(100) %}",
        "{% for x in range(10**9) %}",
        "{% for x in [1, 2] %}",
        "{% endfor %}",
        "{{ loop.index }}",
        "{{ x }}",
        "{% for x in range(999999999999999999999999) %}",
        "{% set a = title %}",
        "{{ title.__class__ }}",
        "{{ 'x'|center(999999999) }}",
        "{# c #}",
        "{{",
        "}}",
        "{%",
        "\\",
        "\ue000",
        "(" * 90,
        "{% macro m() %}{{ m() }}{% endmacro %}",
        "{{ range(5) }}",
        "{{ not not title }}",
        "{% raw %}{{ x }}{% endraw %}",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=25) | st.text(max_size=80).map(lambda text: [text]))
def test_no_template_takes_long_or_fails_in_another_way(pieces: list[str]):
    """Whatever is sent is a fault or a text that can be rendered, within a moment and a size."""
    began_s = time.perf_counter()
    try:
        own = OwnText(Draft("reminder", "en", "Subject", "x" + "".join(pieces), "".join(pieces)))
        own.try_out()
    except TemplateFault as fault:
        assert fault.field in ("text", "html")
        assert fault.fault and fault.remedy
    assert time.perf_counter() - began_s < 5.0  # a machine may be busy; 10⁹ rounds take minutes


def test_the_worst_that_is_let_through_is_bounded():
    """A template at every bound is rendered, and its output is no longer than it may be."""
    loops = "{% for a in range(100) %}" + "y" * 1_900 + "{% endfor %}"
    template_ = compiled("text", loops, KNOWN, html=False)
    text = said("text", template_, {})
    assert len(text) == 190_000 <= limits.TEMPLATE_OUTPUT_MAX_CHARS
    with pytest.raises(TemplateFault, match="longer than"):
        compiled("text", loops.replace("(100)", "(110)"), KNOWN, html=False)
    values = dict.fromkeys(KNOWN.common, "v" * limits.TEXT_MAX_CHARS)
    many = compiled("html", "{{ title|title }}" * 300, KNOWN, html=True)
    assert len(said("html", many, values)) <= limits.TEMPLATE_OUTPUT_MAX_CHARS


def test_a_mail_with_an_own_text_costs_what_one_with_ours_does():
    """Per person only blanks are filled: no template is rendered again, whoever's it is."""
    own = OwnText(Draft("reminder", "en", "Mine", "{{ name }}{{ seats }}"))
    calls: list[str] = []
    honest = own.prose

    def counted(values: Any) -> Any:
        calls.append("rendered")
        return honest(values)

    class Book(OwnBook):
        def find(self, *_: str) -> OwnText:
            return own

    own.prose = counted  # type: ignore[method-assign] # to count
    renderer = Renderer(SENDER, SIGNER, TEXTS, book=Book())
    for number in range(5):
        person = replace_locale(ADA, "en")
        person.name = f"Guest {number}"
        rendered(material(NoticeKind.REMINDER, person), renderer)
    assert calls == ["rendered"]
