"""`veltrix cluster settings` and `veltrix cluster epoch`: what etcd keeps for the whole cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from veltrix.cli.exits import ExitCode
from veltrix.cli.options import ConfigFile, Json, configured

if TYPE_CHECKING:
    from veltrix.adapters.etcd import EtcdClient
    from veltrix.config import Config
    from veltrix.ports.ledger import Term
    from veltrix.ports.settings import ClusterSettings, SettingsDocument

T = TypeVar("T")

app = typer.Typer(
    help="Settings of the whole cluster: changed at once, everywhere, without a restart.",
    no_args_is_help=True,
)
epoch = typer.Typer(help="The epoch, the first part of every term.", no_args_is_help=True)


@app.command("get")
def get(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY…]", help="Only these.", show_default=False)
    ] = None,
    file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Print what can be changed, what stands, and where it comes from."""
    config = configured(file).config

    async def read(settings: ClusterSettings) -> SettingsDocument:
        return await settings.get()

    document = _with_settings(config, read)
    from veltrix.cli.output import console, escape, print_json, print_table
    from veltrix.config.runtime import CHANGEABLE

    _refuse_unknown(keys or [])
    rows = [_row(config, document, key) for key in CHANGEABLE if not keys or key in keys]
    if as_json:
        print_json({**_head(document), "settings": rows})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Setting", "Value", "From"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row["key"], escape(str(row["value"])), row["source"])
    console().print(_told(document), markup=False, soft_wrap=True)
    print_table(table)


@app.command("set")
def set_(
    assignments: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE…", help="KEY= goes back to each process's configuration."),
    ],
    version: Annotated[
        int | None,
        typer.Option(metavar="N", help="Only if this version stands.", show_default=False),
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history.")] = "",
    file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Change settings, all of them or none. Every process applies them within two seconds."""
    config = configured(file).config
    from veltrix.config.runtime import changed

    async def change(settings: ClusterSettings) -> SettingsDocument:
        standing = await settings.get()
        _insist(standing, version)
        with _telling():
            values = changed(config, standing.values, assignments)
        return await _put(settings, standing, values, note)

    _tell_set(_with_settings(config, change), as_json)


@app.command("history")
def history(file: ConfigFile = None, as_json: Json = False) -> None:
    """Print the newest versions, the newest first."""
    config = configured(file).config

    async def read(settings: ClusterSettings) -> list[SettingsDocument]:
        return await settings.history()

    documents = _with_settings(config, read)
    from veltrix.cli.output import console, escape, print_json, print_table

    if as_json:
        print_json([{**_head(document), "values": dict(document.values)} for document in documents])
        return
    if not documents:
        console().print("Nothing was ever set.")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Version", "When", "By", "Values", "Note"):
        table.add_column(column, overflow="fold")
    for document in documents:
        head = _head(document)
        values = ", ".join(f"{key}={value}" for key, value in document.values.items())
        table.add_row(
            str(document.version),
            head["changed"],
            escape(document.changed_by),
            escape(values),
            escape(document.note),
        )
    print_table(table)


@app.command("rollback")
def rollback(
    version: Annotated[
        int, typer.Argument(metavar="VERSION", help="Whose values are to stand again.", min=0)
    ],
    file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Make the values of an older version stand again, as a new version; 0 takes all values away."""
    config = configured(file).config
    from veltrix.config.runtime import checked

    async def roll_back(settings: ClusterSettings) -> SettingsDocument:
        from veltrix.cli.failures import Failure

        standing = await settings.get()
        old = await settings.version(version)
        if old is None and version != 0:
            raise Failure(
                f"version {version} is not in the history; nothing was changed",
                "veltrix cluster settings history shows what is",
                ExitCode.NEGATIVE,
            )
        values = {} if old is None else dict(old.values)
        with _telling():
            checked(config, values)
        return await _put(settings, standing, values, f"rolled back to version {version}")

    _tell_set(_with_settings(config, roll_back), as_json)


@epoch.command("show")
def show_epoch(file: ConfigFile = None, as_json: Json = False) -> None:
    """Print the epoch and how far etcd has come: no term that it granted is newer."""
    config = configured(file).config
    from veltrix.cli.output import print_json, print_text

    async def read(client: EtcdClient) -> Term:
        from veltrix.adapters.etcd import newest_term

        return await client.run(newest_term, client)

    newest = _with_etcd(config, read)
    if as_json:
        print_json({"epoch": newest.epoch, "revision": newest.revision})
    else:
        print_text(
            f"Epoch {newest.epoch}; etcd is at revision {newest.revision}. The newest term is {newest}."
        )


@epoch.command("raise")
def raise_(
    to: Annotated[
        int | None, typer.Option(metavar="N", help="The new epoch.  [default: the next]", show_default=False)
    ] = None,
    file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Raise the epoch, after etcd was restored or replaced. Running processes go on by themselves."""
    config = configured(file).config
    from veltrix.cli.output import print_json, print_text

    async def raise_it(client: EtcdClient) -> int:
        from veltrix.adapters.etcd import raise_epoch

        return await client.run(raise_epoch, client, to)

    raised = _with_etcd(config, raise_it)
    if as_json:
        print_json({"epoch": raised})
    else:
        print_text(f"The epoch is {raised} now: terms granted from here on are newer than all before.")


def _row(config: Config, document: SettingsDocument, key: str) -> dict[str, Any]:
    """A setting as it is in effect."""
    from veltrix.config.model import SETTINGS

    if key in document.values:
        return {"key": key, "value": document.values[key], "source": "cluster"}
    setting = SETTINGS[key]
    value = getattr(getattr(config, setting.section), setting.attribute)
    return {"key": key, "value": setting.kind.show(value), "source": "configuration"}


def _refuse_unknown(keys: list[str]) -> None:
    from veltrix.config.runtime import CHANGEABLE

    for key in keys:
        if key not in CHANGEABLE:
            raise typer.BadParameter(f"{key} is no cluster setting; they are {', '.join(CHANGEABLE)}")


@contextmanager
def _telling() -> Iterator[None]:
    """Tell what is wrong with values as what it is: a refusal, after which all is as it was."""
    from veltrix.cli.failures import Failure
    from veltrix.config import ConfigError

    try:
        yield
    except ConfigError as error:
        problems = "\n".join(f"  {problem}" for problem in error.problems)
        raise Failure(f"Nothing was changed.\n{problems}", code=ExitCode.USAGE) from error


def _insist(standing: SettingsDocument, version: int | None) -> None:
    from veltrix.cli.failures import Failure

    if version is not None and version != standing.version:
        raise Failure(
            f"version {standing.version} of the cluster settings stands, not {version}; nothing was changed",
            "look at it (veltrix cluster settings get), and try again",
            ExitCode.NEGATIVE,
        )


async def _put(
    settings: ClusterSettings, standing: SettingsDocument, values: dict[str, Any], note: str
) -> SettingsDocument:
    """Write the next version; somebody else's change in between is an error, not overwritten."""
    from veltrix.adapters.system import SystemClock
    from veltrix.cli.failures import Failure
    from veltrix.ports.errors import Rejected
    from veltrix.ports.settings import SettingsDocument

    document = SettingsDocument(standing.version + 1, values, SystemClock().now_ms(), _who(), note)
    try:
        await settings.set(document)
    except Rejected as error:
        raise Failure(
            f"somebody else changed the cluster settings at the same time ({error})",
            "look at them (veltrix cluster settings get), and try again",
            ExitCode.NEGATIVE,
        ) from error
    return document


def _who() -> str:
    """Who changes something, for the history."""
    import getpass
    import platform

    try:
        return f"{getpass.getuser()}@{platform.node()}"
    except (KeyError, OSError):  # a user without a name
        return platform.node()


def _tell_set(document: SettingsDocument, as_json: bool) -> None:
    from veltrix.cli.output import print_json, print_text

    if as_json:
        print_json({**_head(document), "values": dict(document.values)})
        return
    values = ", ".join(f"{key}={value}" for key, value in document.values.items())
    print_text(f"Version {document.version} stands: {values or 'as each process is configured'}.")


def _head(document: SettingsDocument) -> dict[str, Any]:
    moment = datetime.fromtimestamp(document.changed_ms / 1000, UTC).isoformat(timespec="seconds")
    return {
        "version": document.version,
        "changed": moment if document.version else None,
        "by": document.changed_by,
        "note": document.note,
    }


def _told(document: SettingsDocument) -> str:
    if not document.version:
        return "Version 0: nothing was ever set; every process is as it is configured."
    head = _head(document)
    note = f" ({document.note})" if document.note else ""
    return f"Version {document.version}, set {head['changed']} by {document.changed_by}{note}."


def _with_settings(config: Config, use: Callable[[ClusterSettings], Awaitable[T]]) -> T:
    """Do something with the cluster's settings."""

    async def with_client(client: EtcdClient) -> T:
        from veltrix.adapters.etcd import EtcdClusterSettings

        return await use(EtcdClusterSettings(client))

    return _with_etcd(config, with_client)


def _with_etcd(config: Config, use: Callable[[EtcdClient], Awaitable[T]]) -> T:
    """Do something with etcd, as the configuration names it."""
    import asyncio

    from veltrix.cli.failures import Failure

    if not config.etcd.endpoints:
        raise Failure(
            "no etcd is configured: this platform is no cluster",
            'name its members in the configuration: [etcd] endpoints = ["host:2379", …]',
            ExitCode.USAGE,
        )
    from veltrix.bootstrap.engines import etcd_settings  # first: it says what to do without the extra
    from veltrix.adapters.etcd import EtcdClient  # isort: skip

    async def main() -> T:
        client = await EtcdClient.open(etcd_settings(config))
        try:
            return await use(client)
        finally:
            await client.close()

    return asyncio.run(main())
