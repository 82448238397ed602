"""`veltrix suppression` and `veltrix bounce`: who is not written to, and mail that came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, DataDirectory, Json, configured
from veltrix.cli.telling import BY, body_of, failure_of, is_there, with_telling

if TYPE_CHECKING:
    from veltrix.config import Config
    from veltrix.registration.returns import Taken
    from veltrix.registration.telling import Telling

Organizer = Annotated[str, typer.Option(metavar="NAME", help="Whose mail it is about.")]
Address = Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address.")]
Category = Annotated[
    str, typer.Option(metavar="NAME", help="Only this category, such as reminder; *: everything.")
]

app = typer.Typer(help="Addresses that are not written to.", no_args_is_help=True)


@app.command("add")
def add(
    email: Address,
    organizer: Organizer,
    category: Category = "*",
    detail: Annotated[str, typer.Option(metavar="TEXT", help="A note for people.")] = "",
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Do not write to an address any more. Only its keyed hash is kept."""
    config = configured(file, data=data).config

    async def suppress(telling: Telling) -> tuple[dict[str, Any], bool]:
        from veltrix.bootstrap.returning import suppression_book
        from veltrix.registration.suppressions import SuppressBody, suppression_out

        body = body_of(SuppressBody, {"email": email, "category": category, "detail": detail})
        kept, new = await suppression_book(config, telling).add(organizer, body)
        return _plain(suppression_out(kept)), new

    shown, new = with_telling(config, suppress)
    if as_json:
        _print({**shown, "new": new})
        return
    what = "nothing is sent" if category == "*" else f"no mail of {category} is sent"
    _say(f"{'From now on' if new else 'As before,'} {what} to {email} ({organizer}).")


@app.command("list")
def list_(
    organizer: Organizer,
    email: Annotated[str | None, typer.Option(metavar="EMAIL", help="Only this address.")] = None,
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """List what is suppressed: by hash, for the addresses themselves are not kept."""
    config = configured(file, data=data).config

    async def read(telling: Telling) -> list[dict[str, Any]]:
        from veltrix.bootstrap.returning import suppression_book
        from veltrix.domain import limits
        from veltrix.registration.suppressions import suppression_out

        book = suppression_book(config, telling)
        found: list[Any] = []
        after = None
        while page := await book.page(organizer, email, after, limits.PAGE_MAX_ROWS):
            found += page
            if len(page) < limits.PAGE_MAX_ROWS:
                break
            after = (page[-1].address, page[-1].category)
        return [_plain(suppression_out(each)) for each in found]

    rows = with_telling(config, read) if is_there(config) else []
    if as_json:
        _print(rows)
        return
    if not rows:
        _say(f"{organizer} writes to everybody.")
        return
    from rich.table import Table

    from veltrix.cli.output import print_table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Address (hash)", "Category", "Why", "Since", "Detail"):
        table.add_column(column, overflow="fold", no_wrap=column.startswith("Address"))
    for row in rows:
        table.add_row(row["address"], row["category"], row["reason"], row["created_at"][:16], row["detail"])
    print_table(table)


@app.command("remove")
def remove(
    email: Annotated[
        str, typer.Argument(metavar="EMAIL", help="The e-mail address, or its hash as the list shows it.")
    ],
    organizer: Organizer,
    category: Category = "*",
    file: ConfigFile = None,
    data: DataDirectory = None,
    as_json: Json = False,
) -> None:
    """Write to an address again; what mail servers said against it is forgotten with it."""
    config = configured(file, data=data).config

    async def unsuppress(telling: Telling) -> None:
        from veltrix.bootstrap.returning import suppression_book

        await suppression_book(config, telling).remove(organizer, email, category, BY)

    with_telling(config, unsuppress)
    if as_json:
        _print({"removed": True})
    else:
        _say(f"{email} is written to again ({organizer}).")


def bounce(file: ConfigFile = None, data: DataDirectory = None, as_json: Json = False) -> None:
    """Take a report of mail that came back from standard input, as a mail server's pipe hands it over.

    Exit code 75 asks the mail server to try again later; 65 says that the report cannot be used.
    """
    import sys

    from veltrix.domain import limits

    config = configured(file, data=data).config
    raw = sys.stdin.buffer.read(limits.REPORT_MAX_BYTES + 1)
    taken = _taken(config, raw)
    if as_json:
        _print(_plain(taken))
        return
    said = {
        "hard": "the mailbox does not exist",
        "complaint": "its owner does not want it",
        "soft": "it did not arrive, for a reason that may pass",
        "delivered": "it arrived, or may yet",
    }[taken.said.value]
    follows = "nothing more is sent there" if taken.suppressed else "nothing follows"
    _say(f"{taken.notice}: {said}{f' ({taken.status})' if taken.status else ''}; {follows}.")


def _taken(config: Config, raw: bytes) -> Taken:
    import asyncio

    from veltrix.bootstrap.returning import opened_returns
    from veltrix.cli.failures import Failure
    from veltrix.ports.errors import PortError
    from veltrix.registration.catalogue import fault_words
    from veltrix.registration.problems import Problem
    from veltrix.registration.reports import Unusable
    from veltrix.registration.returns import FAULTS

    async def main() -> Taken:
        async with opened_returns(config) as returns:
            return await returns.take(raw)

    if not is_there(config, "notices.db"):
        raise Failure("there are no notices here", "name the data directory: --data", ExitCode.TRY_LATER)
    try:
        return asyncio.run(main())
    except Unusable as unusable:
        words = fault_words(FAULTS[unusable.fault], "en")
        raise Failure(f"the report {words.fault}", words.remedy, ExitCode.UNUSABLE) from None
    except Problem as problem:
        failure = failure_of(problem)
        raise Failure(failure.message, failure.remedy, ExitCode.UNUSABLE) from None
    except (PortError, OSError) as error:
        raise Failure(str(error), "the mail server should try again", ExitCode.TRY_LATER) from None


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def _print(value: Any) -> None:
    from veltrix.cli.output import print_json

    print_json(value)


def _say(text: str) -> None:
    from veltrix.cli.output import console

    console().print(text, markup=False, soft_wrap=True)
