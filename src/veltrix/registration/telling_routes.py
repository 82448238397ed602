"""The table of operations, continued: endpoints of webhooks, notices, and facts by cursor."""

from __future__ import annotations

from typing import Any, Final

from veltrix.domain import limits
from veltrix.ports.access import Scope
from veltrix.ports.notices import NoticeStatus
from veltrix.registration import endpoint_bodies as bodies
from veltrix.registration.facts import FactPage, Facts
from veltrix.registration.notices import HeldChosen, NoticeDesk, NoticePage, NoticesChosen, NoticeView
from veltrix.registration.operations import Operation, Param, Shape
from veltrix.registration.routes import CURSOR, LIMIT
from veltrix.registration.webhooks import Webhooks

WEBHOOKS: Final = "Webhooks"
NOTICES: Final = "Notices"
_URL: Final = ("unknown_endpoint",)
_STATUSES: Final = "|".join(NoticeStatus)
_TIME: Final = {"type": "string", "format": "date-time"}


def webhook_operations(webhooks: Webhooks) -> list[Operation]:
    """Operations of endpoints."""

    def act(name: str, path: str, handler: Any, summary: str, *more: str) -> Operation:
        return Operation(
            "POST", f"/v1/endpoints/{{endpoint}}/{path}", name, handler, summary, WEBHOOKS,
            "Carried out by notification within seconds.", scope=Scope.WRITE, keyed=True,
            answers={200: Shape(bodies.Ordered, meaning="It was ordered")}, problems=(*_URL, *more),
        )  # fmt: skip

    shown = {200: Shape(bodies.EndpointOut, meaning="The endpoint")}
    made = Shape(bodies.EndpointMade, meaning="The endpoint, with the secret, which is shown once")
    return [
        Operation(
            "POST", "/v1/endpoints", "createEndpoint", webhooks.create, "Have facts posted to a URL",
            WEBHOOKS, "Signed as Standard Webhooks says. Repeated under its key, it shows the secret again.",
            scope=Scope.WRITE, keyed=True, body=(Shape(bodies.EndpointIn),), answers={201: made},
            problems=("too_many_endpoints", "too_many_secrets"),
        ),
        Operation(
            "GET", "/v1/endpoints", "listEndpoints", webhooks.listed, "List your endpoints", WEBHOOKS,
            scope=Scope.READ, answers={200: Shape(bodies.EndpointPage, meaning="All of them")},
        ),
        Operation(
            "GET", "/v1/endpoints/{endpoint}", "getEndpoint", webhooks.read, "Read an endpoint", WEBHOOKS,
            scope=Scope.READ, answers=shown, problems=_URL,
        ),
        Operation(
            "PATCH", "/v1/endpoints/{endpoint}", "changeEndpoint", webhooks.change, "Change an endpoint",
            WEBHOOKS, "What is not named stays.", scope=Scope.WRITE, body=(Shape(bodies.EndpointChange),),
            answers=shown, problems=_URL,
        ),
        Operation(
            "DELETE", "/v1/endpoints/{endpoint}", "removeEndpoint", webhooks.remove, "Take an endpoint away",
            WEBHOOKS, "What was still to be sent to it is not sent.", scope=Scope.WRITE, answers={204: None},
            problems=_URL,
        ),
        Operation(
            "POST", "/v1/endpoints/{endpoint}/secrets", "rotateSecret", webhooks.rotate,
            "Change over to a new secret", WEBHOOKS,
            "Until the overlap ends, posts carry signatures by the old secrets and by the new one.",
            scope=Scope.WRITE, keyed=True, body=(Shape(bodies.RotateBody),), body_required=False,
            answers={201: made}, problems=(*_URL, "too_many_secrets"),
        ),
        Operation(
            "DELETE", "/v1/endpoints/{endpoint}/secrets/{secret}", "endSecret", webhooks.end_secret,
            "End a secret at once", WEBHOOKS, scope=Scope.WRITE, answers=shown,
            problems=(*_URL, "unknown_secret", "last_secret"),
        ),
        act("pingEndpoint", "ping", webhooks.ping, "Have a test posted"),
        act("enableEndpoint", "enable", webhooks.enable,
            "Have it tried again, after it was disabled or rests from failures"),
    ]  # fmt: skip


def notice_operations(desk: NoticeDesk, facts: Facts) -> list[Operation]:
    """Operations of notices, and facts by cursor."""

    def only(name: str, meaning: str, pattern: str) -> Param:
        return Param(name, meaning, {"type": "string", "pattern": pattern})

    filters = (
        only("status", "Only these statuses, separated by commas: " + ", ".join(map(str, NoticeStatus)),
             f"^({_STATUSES})(,({_STATUSES}))*$"),
        Param("channel", "Only this channel: `webhook`, `email` …", {"type": "string", "maxLength": 64}),
        only("endpoint", "Only to this endpoint.", "^ep_[0-9a-f]{32}$"),
        only("event", "Only of this event.", "^evt_[0-9a-f]{32}$"),
        only("registration", "Only of this registration.", "^reg_[0-9a-f]{32}$"),
        Param("kind", "Only of this kind.", {"type": "string", "maxLength": 64}),
        Param("since", "Only of facts from this time on.", _TIME),
        Param("until", "Only of facts before this time.", _TIME),
        Param("held", "`true`: only those that wait for an order.",
              {"type": "string", "enum": ["true", "false"]}),
    )  # fmt: skip
    ordered = {200: Shape(bodies.Ordered, meaning="It was ordered")}
    after = Param(
        "after", "Where the last page ended: its `after`. From the beginning without one.",
        {"type": "string", "maxLength": limits.FACTS_CURSOR_MAX_CHARS, "pattern": "^[A-Za-z0-9_-]*$"},
    )  # fmt: skip
    return [
        Operation(
            "GET", "/v1/notices", "listNotices", desk.listed, "List or search notices", NOTICES,
            scope=Scope.READ, query=(*filters, CURSOR, LIMIT),
            answers={200: Shape(NoticePage, meaning="A page, the newest first")}, problems=("bad_cursor",),
        ),
        Operation(
            "POST", "/v1/notices/replays", "replayNotices", desk.replay, "Send notices again", NOTICES,
            "Each keeps its id: a receiver that had it knows it again. Dead letters: `statuses: [\"dead\"]`.",
            scope=Scope.WRITE, keyed=True, body=(Shape(NoticesChosen),), answers=ordered,
        ),
        Operation(
            "POST", "/v1/notices/releases", "releaseNotices", desk.release, "Let go what is held", NOTICES,
            "Held is what may have arrived, where `on_unknown` is `hold`, and what a restore left in doubt.",
            scope=Scope.WRITE, keyed=True, body=(Shape(HeldChosen),), answers=ordered,
        ),
        Operation(
            "GET", "/v1/notices/{notice}", "getNotice", desk.read, "Read a notice with its attempts", NOTICES,
            scope=Scope.READ, answers={200: Shape(NoticeView, meaning="The notice")},
            problems=("unknown_notice",),
        ),
        Operation(
            "GET", "/v1/facts", "listFacts", facts.listed, "Catch up: facts by cursor", NOTICES,
            "The CloudEvents that webhooks carry, without gaps and in order within a partition.",
            scope=Scope.READ, query=(after, LIMIT), answers={200: Shape(FactPage, meaning="A page")},
            problems=("bad_cursor",),
        ),
    ]  # fmt: skip
