"""The language of organizers' templates: a small part of Jinja2 whose cost is known before anything runs.

A template can place values, choose by `if`, and repeat by `for` over something that it writes down. It has no
way to compute, to call, to define or to include, so that what it costs follows from what it is: what would
take long is refused when it is saved, with the reason, and never begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from veltrix.domain import limits

FILTERS: Final = frozenset({"upper", "lower", "title", "capitalize", "trim", "e", "escape"})
_LOOP: Final = frozenset({"index", "index0", "first", "last", "length"})
_VALUE_CHARS: Final = 500  # what a value is taken to be at most, when the size of the output is estimated
_COMPOUND: Final = (
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Compare,
    nodes.Operand,
    nodes.CondExpr,
    nodes.Tuple,
    nodes.List,
)
_NAMES: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Call: "calls",
    nodes.Macro: "macros",
    nodes.CallBlock: "macros",
    nodes.Assign: "'set'",
    nodes.AssignBlock: "'set'",
    nodes.Include: "'include'",
    nodes.Import: "'import'",
    nodes.FromImport: "'import'",
    nodes.Extends: "'extends'",
    nodes.Block: "'block'",
    nodes.FilterBlock: "'filter' blocks",
    nodes.With: "'with'",
    nodes.Concat: "'~'",
    nodes.Getattr: "parts of values ('.')",
    nodes.Getitem: "parts of values ('[…]')",
    nodes.Dict: "dictionaries",
    nodes.Test: "tests ('is …')",
}


class TemplateFault(ValueError):
    """What is wrong with a template, and what to do. `field` is where: `subject`, `text` or `html`."""

    def __init__(self, field: str, fault: str, remedy: str) -> None:
        super().__init__(f"{field} {fault}")
        self.field, self.fault, self.remedy = field, fault, remedy

    @property
    def told(self) -> tuple[str, str, str]:
        """Field, fault and remedy."""
        return self.field, self.fault, self.remedy


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a template may name: values that are the same for all, and personal ones, which it can only place,
    or (not `placed`) not even that."""

    common: frozenset[str]
    personal: frozenset[str]
    placed: bool = True


def compiled(field: str, source: str, known: Vocabulary, *, html: bool) -> Template:
    """The template, checked and compiled. Raises `TemplateFault`."""
    environment = _environment(autoescape=html)
    try:
        tree = environment.parse(source)  # which computes nothing yet, as compiling would
        _Checker(field, known).check(tree)
        return environment.from_string(source)
    except TemplateSyntaxError as error:
        raise TemplateFault(
            field, f"line {error.lineno}: {error.message}", "write it as docs/templates.md shows"
        ) from None
    except RecursionError:
        raise _too_deep(field) from None
    except (TemplateError, SyntaxError, ValueError, OverflowError) as error:
        if isinstance(error, TemplateFault):
            raise
        raise TemplateFault(
            field, f"cannot be read: {error}", "write it as docs/templates.md shows"
        ) from None


def rendered(field: str, template: Template, values: Mapping[str, Any]) -> str:
    """What comes of it with these values. Raises `TemplateFault`."""
    try:
        said = template.render(values)
    except (TemplateError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise TemplateFault(field, f"fails: {error}", "compare only values of one kind") from None
    if len(said) > limits.TEMPLATE_OUTPUT_MAX_CHARS:
        raise _too_large(field)
    return said


@lru_cache(maxsize=2)
def _environment(*, autoescape: bool) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        cache_size=0,
    )
    environment.globals.clear()
    environment.globals["range"] = range  # of numbers that stand there, see `_iterations`
    return environment


class _Checker:
    """Walks a template's tree: nothing but what the language has, and how much it can cost."""

    def __init__(self, field: str, known: Vocabulary) -> None:
        self._field = field
        self._known = known
        self._local: list[str] = []
        self._steps = 0
        self._chars = 0

    def check(self, tree: nodes.Template) -> None:
        """Raises `TemplateFault`."""
        self._body(tree.body, 1, 1)

    def _fault(self, node: nodes.Node, fault: str, remedy: str) -> TemplateFault:
        return TemplateFault(self._field, f"line {node.lineno}: {fault}", remedy)

    def _body(self, body: list[nodes.Node], times: int, depth: int) -> None:
        for node in body:
            self._count(times, depth)
            if isinstance(node, nodes.Output):
                for part in node.nodes:
                    self._placed(part, times, depth)
            elif isinstance(node, nodes.If):
                self._value(node.test, times, depth + 1)
                self._body([*node.body, *node.elif_, *node.else_], times, depth + 1)
            elif isinstance(node, nodes.For):
                self._repeated(node, times, depth)
            else:
                raise self._foreign(node)

    def _repeated(self, node: nodes.For, times: int, depth: int) -> None:
        if not isinstance(node.target, nodes.Name) or node.recursive or node.test is not None:
            raise self._fault(node, "has a 'for' of a kind that templates do not have", "use 'for x in […]'")
        times *= max(1, self._iterations(node.iter))
        if times > limits.TEMPLATE_LOOP_MAX:
            raise self._fault(
                node,
                f"repeats something {times} times",
                f"repeat at most {limits.TEMPLATE_LOOP_MAX} times, loops within loops multiplied",
            )
        self._local.append(node.target.name)
        self._body(node.body, times, depth + 1)
        self._local.pop()
        self._body(node.else_, times, depth + 1)

    def _iterations(self, node: nodes.Node) -> int:
        """How often a loop goes round, which must stand there."""
        if isinstance(node, nodes.List | nodes.Tuple):
            for item in node.items:
                if not isinstance(item, nodes.Const):
                    raise self._fault(item, "repeats over something computed", "write the items down")
            return len(node.items)
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "range":
            numbers = [each.value for each in node.args if isinstance(each, nodes.Const)]
            plain = not node.kwargs and node.dyn_args is None and node.dyn_kwargs is None
            if plain and len(numbers) == len(node.args) and all(type(each) is int for each in numbers):
                try:
                    return len(range(*numbers))
                except OverflowError:
                    return limits.TEMPLATE_LOOP_MAX + 1
                except (TypeError, ValueError):
                    pass
        raise self._fault(
            node, "repeats over something whose length nobody knows", "use 'in […]' or 'in range(10)'"
        )

    def _placed(self, node: nodes.Node, times: int, depth: int) -> None:
        """Something that is put out: text, or a value. Personal ones as they are."""
        if isinstance(node, nodes.TemplateData):
            self._chars += times * len(node.data)
        else:
            self._chars += times * _VALUE_CHARS
        if self._chars > limits.TEMPLATE_OUTPUT_MAX_CHARS:
            raise _too_large(self._field)
        if isinstance(node, nodes.TemplateData):
            return
        if isinstance(node, nodes.Name) and node.name in self._known.personal and self._known.placed:
            return
        self._value(node, times, depth + 1)

    def _value(self, node: nodes.Node, times: int, depth: int) -> None:
        self._count(times, depth)
        if isinstance(node, nodes.Const):
            return
        if isinstance(node, nodes.Name):
            self._name(node)
        elif isinstance(node, nodes.Filter):
            if node.node is None or node.name not in FILTERS or node.args or node.kwargs:
                raise self._fault(
                    node, f"uses the filter {node.name!r}", f"the filters are {', '.join(sorted(FILTERS))}"
                )
            self._value(node.node, times, depth + 1)
        elif isinstance(node, nodes.Getattr):
            if not isinstance(node.node, nodes.Name) or node.node.name != "loop" or not self._local:
                raise self._foreign(node)
            if node.attr not in _LOOP:
                raise self._fault(node, f"uses loop.{node.attr}", f"there are {', '.join(sorted(_LOOP))}")
        elif isinstance(node, _COMPOUND):
            for child in node.iter_child_nodes():
                self._value(child, times, depth + 1)
        else:
            raise self._foreign(node)

    def _name(self, node: nodes.Name) -> None:
        name = node.name
        if name in self._known.common or name in self._local:
            return
        everything = sorted(self._known.common | (self._known.personal if self._known.placed else set()))
        offered = f"use one of {', '.join(everything)}"
        if name not in self._known.personal:
            raise self._fault(node, f"{name!r} is unknown", offered)
        if not self._known.placed:
            raise self._fault(node, f"{name!r} is another one for everybody, this is one for all", offered)
        raise self._fault(
            node,
            f"does something with {name!r}, which is another one for everybody",
            f"place it as it is: {{{{ {name} }}}}",
        )

    def _foreign(self, node: nodes.Node) -> TemplateFault:
        what = _NAMES.get(type(node), f"{type(node).__name__!r}")
        return self._fault(
            node, f"templates have no {what}", "place values, and choose with 'if'; see docs/templates.md"
        )

    def _count(self, times: int, depth: int) -> None:
        if depth > limits.TEMPLATE_DEPTH_MAX:
            raise _too_deep(self._field)
        self._steps += times
        if self._steps > limits.TEMPLATE_STEPS_MAX:
            raise TemplateFault(
                self._field,
                f"takes more than {limits.TEMPLATE_STEPS_MAX} steps",
                "make it shorter, or its loops",
            )


def _too_deep(field: str) -> TemplateFault:
    return TemplateFault(
        field, "is nested too deeply", f"put at most {limits.TEMPLATE_DEPTH_MAX} things into each other"
    )


def _too_large(field: str) -> TemplateFault:
    return TemplateFault(
        field,
        f"may become longer than {limits.TEMPLATE_OUTPUT_MAX_CHARS} characters",
        "make it shorter, or its loops",
    )
