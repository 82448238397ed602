"""The house's rules as functions from source text to findings, so that they can be shown to fail.

A finding is one line of text, ``line: what is wrong``. The tables at the top are the rules; the code below
only applies them.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

ROOT_PACKAGE = "veltrix"

SERVICES = frozenset({"registration", "processing", "notification"})
EVERYTHING = None
# What a room may import besides itself. Each adapter is a room ("adapters.memory"), and "adapters" says what
# they all may import. import-linter's layers in pyproject.toml must name the same rooms (a test compares).
ROOMS: dict[str, frozenset[str] | None] = {
    "domain": frozenset(),
    "ports": frozenset({"domain"}),
    "wire": frozenset({"domain"}),
    "sealing": frozenset({"domain"}),
    "public": frozenset({"domain", "wire"}),
    "observability": frozenset({"domain", "ports"}),
    "promises": frozenset({"domain", "ports"}),
    "registration": frozenset({"domain", "ports", "wire", "sealing", "public", "observability"}),
    "processing": frozenset({"domain", "ports", "wire", "sealing", "observability"}),
    "notification": frozenset({"domain", "ports", "wire", "sealing", "public", "observability"}),
    "adapters": frozenset({"domain", "ports", "wire"}),
    "simulation": SERVICES
    | frozenset(
        {"domain", "ports", "wire", "sealing", "adapters.memory", "observability", "promises", "audit"}
    ),
    "audit": frozenset({"domain", "ports", "wire", "processing", "adapters.memory"}),
    "config": frozenset({"domain"}),
    "bootstrap": EVERYTHING,
    "readiness": EVERYTHING,
    "moving": EVERYTHING,
    "load": EVERYTHING,
    "demo": EVERYTHING,
    "cluster": EVERYTHING,
    "cli": EVERYTHING,
    "__main__": EVERYTHING,
}

# The standard library's part that does no I/O, reads no clock and draws nothing at random.
DOMAIN_STDLIB = frozenset(
    {
        "__future__",
        "abc",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "string",
        "struct",
        "types",
        "typing",
        "unicodedata",
        "zoneinfo",
    }
)

# These get time, identifiers and the outside world through ports, so that the simulator can stand in for it.
OUTSIDE_WORLD_ROOMS = frozenset({"domain", "ports", "wire", "sealing", "public", "promises"}) | SERVICES
OUTSIDE_WORLD = frozenset(
    {
        "asyncio.to_thread",
        "concurrent.futures",
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "importlib.import_module",
        "multiprocessing",
        "os.environ",
        "os.getenv",
        "os.urandom",
        "random",
        "secrets",
        "socket",
        "sqlite3",
        "subprocess",
        "threading",
        "time",
        "uuid",
    }
)
OUTSIDE_WORLD_METHODS = frozenset({"run_in_executor"})
OUTSIDE_WORLD_BUILTINS = frozenset({"__import__", "input", "open"})
# hash() of text and id() differ from process to process: a replay would decide otherwise.
UNREPEATABLE_BUILTINS = frozenset({"hash", "id"})

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

# Written in two halves, so that this file passes its own test.
REGISTRY_HOSTS = tuple(
    left + right
    for left, right in (
        ("py", "pi.org"),
        ("pythonhosted", ".org"),
        ("anaconda", ".org"),
        ("npm", "js.org"),
        ("npm", "js.com"),
        ("yarn", "pkg.com"),
        ("crates", ".io"),
        ("ruby", "gems.org"),
        ("proxy.", "golang.org"),
        ("repo1.", "maven.org"),
        ("docker", ".io"),
        ("gh", "cr.io"),
        ("qu", "ay.io"),
    )
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_of(path: PurePosixPath) -> str:
    """The dotted name of the module in a file below src/."""
    parts = list(path.with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def room_of(module: str) -> str:
    """The room that a veltrix module is in; each adapter is one of its own, the package itself none."""
    parts = module.split(".")[1:]
    if not parts:
        return ""
    return ".".join(parts[:2]) if parts[0] == "adapters" else parts[0]


def may_import(importer: str, imported: str) -> bool:
    """Whether the table of rooms lets one room import from another."""
    if imported in (importer, "__version__"):
        return True
    allowed = ROOMS.get(importer.partition(".")[0], frozenset())
    return allowed is EVERYTHING or imported in allowed


class Import(NamedTuple):
    """One imported name: where, its full dotted name, and what name here means which dotted name."""

    line: int
    name: str
    bound: str
    target: str


def imports_of(tree: ast.AST, path: PurePosixPath) -> Iterator[Import]:
    """Every import anywhere in the file, relative ones resolved."""
    module = module_of(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                yield Import(node.lineno, alias.name, bound, alias.name if alias.asname else bound)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield Import(node.lineno, name, alias.asname or alias.name, name)


def room_findings(source: str, path: PurePosixPath) -> Iterator[str]:
    """Imports that the table of rooms does not allow."""
    room = room_of(module_of(path))
    if room and room.split(".")[0] not in ROOMS:
        yield f"1: there is no room {room!r}; give it a place in tests/house/rules.py and pyproject.toml"
        return
    for line, name, *_ in imports_of(ast.parse(source), path):
        top = name.partition(".")[0]
        if top == ROOT_PACKAGE:
            if room and not may_import(room, room_of(name)):
                yield f"{line}: {room} must not import {name}"
        elif room == "domain" and top not in DOMAIN_STDLIB:
            yield f"{line}: domain must not import {name}; it is pure"


def outside_world_findings(source: str, path: PurePosixPath) -> Iterator[str]:
    """Uses of clocks, chance, threads, the environment and files where only ports may reach them."""
    room = room_of(module_of(path))
    if room not in OUTSIDE_WORLD_ROOMS:
        return
    tree = ast.parse(source)
    known: dict[str, str] = {}
    for line, name, bound, target in imports_of(tree, path):
        known[bound] = target
        if is_outside_world(name):
            yield f"{line}: {room} must not import {name}; it comes through a port"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = dotted(node, known)
            if node.attr in OUTSIDE_WORLD_METHODS or (name in OUTSIDE_WORLD and "." in name):
                yield f"{node.lineno}: {room} must not use {name}; it comes through a port"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = node.func.id
            if called in OUTSIDE_WORLD_BUILTINS:
                yield f"{node.lineno}: {room} must not call {called}(); it comes through a port"
            elif room == "domain" and called in UNREPEATABLE_BUILTINS:
                yield f"{node.lineno}: domain must not call {called}(); it differs from process to process"


def is_outside_world(name: str) -> bool:
    """Whether an imported dotted name is, or is inside of, something forbidden."""
    return any(name == outside or name.startswith(f"{outside}.") for outside in OUTSIDE_WORLD)


def dotted(node: ast.expr, known: dict[str, str]) -> str:
    """The full dotted name of an attribute chain, seen through the file's imports."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value, known)}.{node.attr}"
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    return "?"


def docstring_findings(source: str, path: PurePosixPath) -> Iterator[str]:
    """Public modules, classes and functions without a docstring; in ports methods too (their contract)."""
    tree = ast.parse(source)
    if not ast.get_docstring(tree):
        yield "1: the module has no docstring"
    with_methods = room_of(module_of(path)) == "ports"
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_") or is_overload(node):
            continue
        if not ast.get_docstring(node):
            yield f"{node.lineno}: {node.name} has no docstring"
        if with_methods and isinstance(node, ast.ClassDef):
            for method in node.body:
                if (
                    not isinstance(method, Function)
                    or method.name.startswith("_")
                    or ast.get_docstring(method)
                ):
                    continue
                yield f"{method.lineno}: {node.name}.{method.name} has no docstring"


def is_overload(node: Function | ast.ClassDef) -> bool:
    """Whether a function only declares one of several signatures."""
    return any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """Functions longer than the house allows: their qualified name and length in lines."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function | ast.ClassDef):
                name = f"{prefix}{child.name}"
                length = (child.end_lineno or child.lineno) - child.lineno + 1
                if isinstance(child, Function) and length > FUNCTION_LINES_MAX:
                    yield name, length
                yield from walk(child, f"{name}.")
            else:
                yield from walk(child, prefix)

    yield from walk(ast.parse(source), "")


def claim_findings(source: str) -> Iterator[str]:
    """Test functions whose docstring does not state their claim."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and node.name.startswith("test_") and not ast.get_docstring(node):
            yield f"{node.lineno}: {node.name} states no claim (docstring)"


EXEMPTION = re.compile(r"(ruff:\s*)?noqa\b(:\s*[A-Z]+\d+([,\s]+[A-Z]+\d+)*)?|type:\s*ignore(\[[^\]]*\])?")


def exemption_findings(source: str) -> Iterator[str]:
    """Exemptions that say why neither in the same comment nor at the head of a run of equal ones."""
    explained: dict[int, str] = {}  # line -> which exemption
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        found = EXEMPTION.search(token.string) if token.type == tokenize.COMMENT else None
        if found is None:
            continue
        line = token.start[0]
        if re.search(r"[A-Za-z]{3}", EXEMPTION.sub("", token.string)) or explained.get(line - 1) == found[0]:
            explained[line] = found[0]
        else:
            yield f"{line}: the exemption does not say why"


def registry_findings(text: str) -> Iterator[str]:
    """Lines that name a package registry's host."""
    for number, line in enumerate(text.splitlines(), start=1):
        for host in REGISTRY_HOSTS:
            if host in line.lower():
                yield f"{number}: names a package registry"
