"""The table of operations, continued: organizers' texts."""

from __future__ import annotations

from typing import Any, Final

from veltrix.ports.access import Scope
from veltrix.registration import templates as bodies
from veltrix.registration.endpoint_bodies import Ordered
from veltrix.registration.operations import Operation, Shape

TEMPLATES: Final = "Templates"
_ONE: Final = "/v1/templates/{kind}/{locale}"


def template_operations(desk: bodies.TemplateDesk) -> list[Operation]:
    """Operations of templates."""
    shown = {200: Shape(bodies.TemplateOut, meaning="The template")}

    def look(name: str, path: str, handler: Any, summary: str, text: str, **more: Any) -> Operation:
        return Operation(
            "POST", f"{_ONE}/{path}", name, handler, summary, TEMPLATES, text,
            problems=("unknown_event",), **more,
        )  # fmt: skip

    return [
        Operation(
            "GET", "/v1/templates", "listTemplates", desk.listed, "List your templates", TEMPLATES,
            "With the kinds of notices that there are, and what a template may name.",
            scope=Scope.READ, answers={200: Shape(bodies.TemplateList, meaning="All of them")},
        ),
        Operation(
            "GET", _ONE, "getTemplate", desk.read, "Read a template", TEMPLATES,
            scope=Scope.READ, etag=True, answers=shown, problems=("unknown_template",),
        ),
        Operation(
            "PUT", _ONE, "saveTemplate", desk.save, "Save a template", TEMPLATES,
            "It is tried out for everybody who may get it first; what is wrong with it is a fault. From then "
            "on people with this locale are told in these words.",
            scope=Scope.WRITE, etag=True, if_match=True, body=(Shape(bodies.TemplateIn),), answers=shown,
            problems=("too_many_templates",),
        ),
        Operation(
            "DELETE", _ONE, "removeTemplate", desk.remove, "Take a template away", TEMPLATES,
            "People are told in Veltrix's own words again.",
            scope=Scope.WRITE, answers={204: None}, problems=("unknown_template",),
        ),
        look("previewTemplate", "preview", desk.preview, "See what a mail looks like",
             "With the text that is sent; without one, as people get it now.", scope=Scope.READ,
             body=(Shape(bodies.PreviewBody),), body_required=False,
             answers={200: Shape(bodies.Preview, meaning="Subject, text and HTML of a made-up person")}),
        look("testTemplate", "test", desk.test, "Have a mail sent to yourself",
             "Carried out by notification within seconds. What it is about is made up.", scope=Scope.WRITE,
             keyed=True, body=(Shape(bodies.TestBody),),
             answers={200: Shape(Ordered, meaning="It was ordered")}),
    ]  # fmt: skip
