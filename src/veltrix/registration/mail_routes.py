"""The table of operations, continued: suppressions, reports of mail that came back, preferences."""

from __future__ import annotations

from typing import Any, Final

from veltrix.domain.credentials import Signer
from veltrix.domain.outcomes import Refusal
from veltrix.ports.access import Scope
from veltrix.ports.outreach import EVERY_CATEGORY
from veltrix.registration import suppressions as bodies
from veltrix.registration.choices import Choices, Preferences
from veltrix.registration.core import Core
from veltrix.registration.operations import Operation, Param, Shape
from veltrix.registration.pages import Pages
from veltrix.registration.registrations import Registrations
from veltrix.registration.returns import TYPES, Returns, Taken
from veltrix.registration.routes import CURSOR, LIMIT, PUBLIC
from veltrix.registration.suppressions import Suppressions
from veltrix.registration.telling import Telling
from veltrix.sealing import AddressHashes

MAIL: Final = "Mail"
_FOUND: Final = (Refusal.UNKNOWN_REGISTRATION, Refusal.LINK_REPLACED)
_OF_PERSON: Final = (*_FOUND, "unauthorized", "forbidden", "person_erased")
_OF_CHOICE: Final = (*_FOUND, "unknown_choice", "person_erased")
_EMAIL: Final = Param("email", "Only this address.", {"type": "string", "format": "email"})
_CATEGORY: Final = Param(
    "category",
    "Of this category; `*`, of all.",
    {"type": "string", "enum": list(bodies.KNOWN), "default": EVERY_CATEGORY},
)


def operations_about_mail(
    core: Core, telling: Telling, signer: Signer, pages: Pages, single: Registrations
) -> list[Operation]:
    """All of them."""
    hashes, ports = AddressHashes.under(signer.secret), core.ports
    returns = Returns(
        telling.outreach, telling.deliveries, ports.queries, ports.vault, signer, hashes, ports.clock
    )
    choices = Choices(core, telling, hashes, pages, single)
    return [
        *mail_operations(Suppressions(core, telling, hashes), returns, choices),
        *choice_operations(choices, pages),
    ]


def mail_operations(suppressions: Suppressions, returns: Returns, choices: Choices) -> list[Operation]:
    """Operations of what is not written to whom."""
    shown = {200: Shape(Preferences, meaning="The preferences")}
    return [
        Operation(
            "GET", "/v1/suppressions", "listSuppressions", suppressions.listed,
            "List addresses that you do not write to", MAIL, "Only a keyed hash of each address is kept.",
            scope=Scope.READ, query=(_EMAIL, CURSOR, LIMIT),
            answers={200: Shape(bodies.SuppressionPage, meaning="A page")}, problems=("bad_cursor",),
        ),
        Operation(
            "POST", "/v1/suppressions", "suppress", suppressions.add, "Do not write to an address", MAIL,
            "Nothing at all (`*`), or nothing of a category. One that exists is kept as it is.",
            scope=Scope.WRITE, body=(Shape(bodies.SuppressBody),),
            answers={200: Shape(bodies.SuppressionOut, meaning="It is suppressed")},
        ),
        Operation(
            "DELETE", "/v1/suppressions/{address}", "unsuppress", suppressions.remove,
            "Write to an address again", MAIL,
            "By the e-mail address, or by `address` as the list has it. With `*`, what mail servers said "
            "against the address is forgotten too.",
            scope=Scope.WRITE, query=(_CATEGORY,), answers={204: None}, problems=("unknown_suppression",),
        ),
        Operation(
            "GET", "/v1/bounces", "listBounces", suppressions.bounced,
            "List addresses that mail servers refused for good", MAIL,
            "As they said while mail was sent. Remove one as you remove a suppression.",
            scope=Scope.READ, query=(CURSOR, LIMIT),
            answers={200: Shape(bodies.BouncePage, meaning="A page")}, problems=("bad_cursor",),
        ),
        Operation(
            "POST", "/v1/bounces", "reportBounce", returns.report, "Hand over mail that came back", MAIL,
            "A report as a mail server makes it (RFC 3464), or a complaint (ARF, RFC 5965), raw. An address "
            "that does not exist is suppressed, and so is one whose owner complained.",
            scope=Scope.WRITE, body=(Shape(None, TYPES[0], "The report"),),
            answers={200: Shape(Taken, meaning="What it said, and what was done")},
            problems=("unknown_notice",),
        ),
        Operation(
            "GET", "/v1/registrations/{ref}/preferences", "getPreferences", choices.read,
            "Read which mails a person gets", PUBLIC, "What is necessary is always sent.",
            key_optional=True, answers=shown, problems=_OF_PERSON,
        ),
        Operation(
            "PATCH", "/v1/registrations/{ref}/preferences", "changePreferences", choices.change,
            "Change which mails a person gets", PUBLIC, "It holds for all mail of this organizer.",
            key_optional=True, body=(Shape(Preferences), Shape(Preferences, "application/merge-patch+json")),
            answers=shown, problems=_OF_PERSON,
        ),
    ]  # fmt: skip


def choice_operations(choices: Choices, pages: Pages) -> list[Operation]:
    """The pages of choices, which are no part of the API's description."""

    def page(method: str, path: str, name: str, handler: Any) -> Operation:
        return Operation(
            method, path, name, handler, name, documented=False, explain=pages.explain, problems=_OF_CHOICE
        )

    unsubscribe, mail = "/u/{organizer}/{category}/{token}", "/r/{link}/mail"
    return [
        page("GET", unsubscribe, "unsubscribePage", choices.by_token),
        page("POST", unsubscribe, "unsubscribe", choices.unsubscribe),
        page("GET", mail, "mailChoicesPage", choices.by_link),
        page("POST", mail, "mailChoicesForm", choices.choose_by_link),
    ]
