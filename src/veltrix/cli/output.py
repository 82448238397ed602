"""How commands speak: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


# Into a file or a pipe, a row of a table is a line, however long it is.
_WIDTH_OF_FILES: Final = 1_000


def console(*, stderr: bool = False) -> Console:
    """A console for people; plain where it is no terminal or NO_COLOR is set."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False)


def print_table(table: Table) -> None:
    """A table as wide as the terminal, or as wide as it is where no terminal is."""
    out = console()
    if not out.is_terminal:
        out.width = _WIDTH_OF_FILES
    out.print(table)


def print_json(document: Any) -> None:
    """A result for programs: one JSON document, readable by people too."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")


def print_text(text: str) -> None:
    """A result as it is: no markup, no wrapping."""
    sys.stdout.write(f"{text}\n")


def warn(text: str) -> None:
    """Something to know that is no result."""
    console(stderr=True).print(f"[yellow]Note:[/] {escape(text)}", soft_wrap=True)


def escape(text: str) -> str:
    """Text whose brackets are not taken as markup."""
    from rich.markup import escape as escaped

    return escaped(text)
