"""The parts of a mail: quoted-printable forms, headers, names and addresses."""

from __future__ import annotations

import email
import email.policy
import quopri
from email.header import decode_header, make_header
from email.utils import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from veltrix.notification import mime
from veltrix.notification.mime import Form, blank, encoded, html_encoded

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
# What organizers and templates write: no carriage returns or other line separators than line feeds.
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], include_characters="\n\t"))


def decoded(quoted: str) -> str:
    """What a mail program shows of quoted-printable text."""
    return quopri.decodestring(quoted.encode("ascii")).decode().replace("\r\n", "\n")


@given(before=LINES, value=LINES, after=LINES)
@example(before="ends in space ", value="", after="\nnext")
@example(before="x" * 75, value="y" * 75, after="z" * 75)
@example(before="x" * 75 + "x", value="yy", after="zzz")
@example(before="x" * 72 + "=x", value="x" * 74 + " x", after="")
@example(before="x" * 76, value="=", after="\n")
@example(before="é" * 40 + "\n", value=" lead and trail ", after=" ")
def test_what_is_filled_in_is_what_is_read(before, value, after):
    """A form's text with its value is read back unchanged, from lines of at most 76 characters."""
    before, after = mime.without_blanks(before), mime.without_blanks(after)
    form = Form(f"{before}{blank('value')}{after}")
    quoted = form.fill({"value": encoded(value)})
    assert decoded(quoted) == f"{before}{value}{after}"
    assert quoted.isascii()
    lines = quoted.split("\r\n")
    assert max(len(line) for line in lines) <= mime.LINE_MAX_CHARS
    assert all("\n" not in line and "\r" not in line for line in lines)


@given(value=LINES)
def test_values_in_html_are_escaped(value):
    """No personal value can open a tag, an entity or an attribute."""
    text = decoded(Form(f'<a href="{blank("value")}">').fill({"value": html_encoded(value)}))
    inner = text.removeprefix('<a href="').removesuffix('">')
    assert not set(inner) & set("<>\"'")


def test_a_form_knows_its_blanks():
    """A value that is missing is a KeyError, not a hole in somebody's mail."""
    form = Form(f"Hello {blank('name')}, {blank('seats')}")
    assert form.blanks == {"name", "seats"}
    with pytest.raises(KeyError):
        form.fill({"name": encoded("Ada")})


HOSTILE = [
    "\r\nBcc: victim@example.org",
    "Ada\nSubject: x",
    "Ada\x00\x0b\x0c\x85\u2028\u2029Bcc: y",
    '"quoted" \\back\\',
    "=?utf-8?b?QWRh?=",
    "👩‍👩‍👧‍👦 Família",
    "عمر الخيام",
    "\u202egnp.exe",
    "A" * 500,
    "é" * 500,
    "Ada <ada@example.org>, Bob",
    "",
    "   ",
    "\ue000name\ue001",
]


def header_value(rendered: str, name: str = "To") -> email.message.EmailMessage:
    """The header as the standard library's parser sees it, with all others that came of it."""
    raw = f"{name}: {rendered}\r\n\r\nbody".encode()
    return email.message_from_bytes(raw, policy=email.policy.default)


@given(name=st.one_of(st.sampled_from(HOSTILE), ANY_TEXT))
@example(name="\r\nBcc: victim@example.org")
def test_no_name_escapes_its_header(name):
    """Whatever the name is, there is one header with one address, in lines that every server takes."""
    rendered = mime.mailbox(name, "ada@example.org")
    message = header_value(rendered)
    assert message.keys() == ["To"]
    assert message.get_content().strip() == "body"
    [address] = message["To"].addresses
    assert address.addr_spec == "ada@example.org"
    assert rendered.isascii()
    assert all(len(line) <= 76 for line in f"From: {rendered}".split("\r\n"))
    assert all(line.startswith(" ") for line in rendered.split("\r\n")[1:])


@given(name=ANY_TEXT)
def test_names_arrive_as_they_are_shown(name):
    """A name is read back as its cleaned form, at most as long as names may be."""
    said = mime.phrase(name)
    # Not by the address parser of newer policies: it keeps the space between encoded words (RFC 2047, 6.2).
    quoted = said.startswith('"')
    read = unquote(said) if quoted else str(make_header(decode_header(said.replace("\r\n", ""))))
    assert read == mime.clean(name)[:200]


@given(subject=ANY_TEXT)
def test_subjects_arrive(subject):
    """A subject is read back as its cleaned form and cannot end its header."""
    message = header_value(mime.unstructured(subject), "Subject")
    assert message.keys() == ["Subject"]
    assert all(len(line) <= 76 for line in f"Subject: {mime.unstructured(subject)}".split("\r\n"))
    assert str(message["Subject"]) == mime.clean(subject)


@given(text=ANY_TEXT)
def test_cleaning_leaves_one_plain_line(text):
    """A cleaned text has no controls, line ends, direction marks or private characters, and stays clean."""
    shown = mime.clean(text)
    assert shown == mime.clean(shown)
    assert shown == " ".join(shown.split())
    assert not any(char in shown for char in "\r\n\x00\u2028\u2029\u202e\u2066\ue000\ue001")


def test_cleaning_keeps_what_names_are_made_of():
    """Letters of all scripts, joiners of emoji and of Persian, and punctuation of names stay."""
    for name in ("Zoë O’Neill-García", "ناصر\u200cخان", "👩‍🚀 Ada", "Anne-Marie, Ph.D."):
        assert mime.clean(name) == name


def test_right_to_left_names_keep_to_themselves():
    """In plain text a right-to-left name is isolated, so that it does not turn the line; others are bare."""
    assert mime.isolated("עדה") == "\u2068עדה\u2069"
    assert mime.isolated("Zoë") == "Zoë"


@pytest.mark.parametrize(
    ("given_address", "usable"),
    [
        ("ada@example.org", "ada@example.org"),
        (" ada@example.org ", "ada@example.org"),
        ("ada+x@bücher.example", "ada+x@xn--bcher-kva.example"),
        ("zoë@example.org", "zoë@example.org"),
        ("ada@example.org\r\nBcc: x@y", None),
        ("ada@example.org> SIZE=1", None),
        ("<ada@example.org>", None),
        ("ada", None),
        ("@example.org", None),
        ("ada@", None),
        ("a" * 65 + "@example.org", None),
        ("ada@" + "x" * 260 + ".org", None),
        ("a\u202eb@example.org", None),
        ("ada@exa\ud800mple.org", None),
        ("", None),
    ],
)
def test_the_last_door_for_addresses(given_address, usable):
    """What cannot stand in a header or an SMTP command is no address; domains become ASCII."""
    assert mime.address(given_address) == usable


@given(raw=st.binary(max_size=500))
def test_base64_lines(raw):
    """Base64 comes in lines of 76 characters and is read back unchanged."""
    text = mime.base64_lines(raw)
    assert all(len(line) <= 76 for line in text.split("\r\n"))
    message = email.message_from_string(f"Content-Transfer-Encoding: base64\r\n\r\n{text}")
    assert message.get_payload(decode=True) == raw
