"""`veltrix cluster`: a real cluster of engines and services on this machine, and its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veltrix.cli import cluster_settings
from veltrix.cli.exits import ExitCode
from veltrix.cli.options import Json

if TYPE_CHECKING:
    from veltrix.cluster.local import LocalCluster, Status
    from veltrix.cluster.plan import Node

app = typer.Typer(no_args_is_help=True)
app.add_typer(cluster_settings.app, name="settings")
app.add_typer(cluster_settings.epoch, name="epoch")


class ProfileName(StrEnum):
    """How much of everything a cluster has."""

    SMALL = "small"
    HA = "ha"


Directory = Annotated[
    Path,
    typer.Option(
        "--directory",
        "-d",
        metavar="DIR",
        envvar="VELTRIX_CLUSTER_DIRECTORY",
        help="Where the cluster keeps its data, configuration and logs.",
    ),
]
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME...",
        help="Processes as `status` names them; or a kind, a host, or `all`.",
        show_default=False,
    ),
]
HostName = Annotated[
    str, typer.Argument(metavar="HOST", help="A test host, such as host-1.", show_default=False)
]
DEFAULT_DIRECTORY = Path("var/cluster")


@app.callback()
def cluster() -> None:
    """A cluster: its engines and services, its faults and its settings."""


@app.command("up")
def up(
    profile: Annotated[
        ProfileName | None,
        typer.Option(
            help="`small`: one of each. `ha`: three of each engine, two of each service.  [default: small]",
            show_default=False,
        ),
    ] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    hosts: Annotated[
        int,
        typer.Option(min=0, max=9, help="Test hosts with a network of their own (root, Linux); 3 fits `ha`."),
    ] = 0,
    engines: Annotated[bool, typer.Option("--engines", help="Start the engines alone.")] = False,
    watch: Annotated[
        bool,
        typer.Option(
            help="Start Prometheus with it, and Alertmanager and Grafana where they are installed.",
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """Start a cluster on this machine, or what is missing of it, and wait until it is ready."""
    from veltrix.cli.output import warn
    from veltrix.cluster.local import ClusterError, LocalCluster
    from veltrix.cluster.plan import Profile
    from veltrix.cluster.tools import Tools
    from veltrix.cluster.watching import Watching

    with told():
        directory = directory.resolve()
        if (directory / "cluster.json").exists():
            it = LocalCluster.open(directory, Tools.here())
            other = profile is not None and profile.value != it.plan.profile.value
            if other or hosts not in (0, len(it.plan.hosts)):
                has = f"{it.plan.profile} with {len(it.plan.hosts)} test hosts"
                raise ClusterError(
                    f"the cluster in {directory} is {has}",
                    "choose that, another --directory, or down --remove first",
                )
        else:
            it, why = LocalCluster.create(
                directory, Tools.here(), Profile(profile or ProfileName.SMALL), hosts
            )
            if why:
                warn(f"No test hosts: {why}. All of it stays on the loopback.")
        with _steps() as tell:
            it.up(tell, engines_only=engines)
            wrong = Watching(it).up(tell) if watch and not engines else []
        shown = it.status()
    for what in wrong:
        warn(f"The cluster runs, but {what}")
    _show(it, shown, as_json)


@app.command("down")
def down(
    directory: Directory = DEFAULT_DIRECTORY,
    remove: Annotated[bool, typer.Option("--remove", help="Delete its data, too.")] = False,
    as_json: Json = False,
) -> None:
    """Stop a cluster in order. Its data stays, and `up` goes on with it."""
    from veltrix.cluster.watching import Watching

    with _opened(directory) as it:
        Watching(it).down()
        it.down()
        if remove:
            Watching(it).remove()
            it.remove()
    _done(
        as_json,
        {"down": True, "removed": remove},
        f"The cluster in {directory} is {'removed' if remove else 'down'}.",
    )


@app.command("status")
def status(directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Show every process: where it is, how it is, and which part it has. Exit code 1 unless all are ready."""
    with _opened(directory) as it:
        shown = it.status()
    _show(it, shown, as_json)
    raise typer.Exit(ExitCode.OK if all(one.state == "ready" for one in shown) else ExitCode.NEGATIVE)


@app.command("kill")
def kill(
    names: Names,
    directory: Directory = DEFAULT_DIRECTORY,
    server: Annotated[
        bool, typer.Option("--server", help="Of a PostgreSQL node only the server; its agent goes on.")
    ] = False,
    as_json: Json = False,
) -> None:
    """End processes at once, as a power cut would (kill -9). `up` or `restart` starts them again."""
    from veltrix.cluster.plan import Kind

    def end(it: LocalCluster, nodes: Sequence[Node]) -> None:
        if not server:
            it.kill(nodes)
            return
        for node in nodes:
            if node.kind is not Kind.POSTGRES:
                raise typer.BadParameter(f"{node.name} is no PostgreSQL node", param_hint="--server")
            it.kill_server(node)

    _befall(names, directory, as_json, "killed", end)


@app.command("pause")
def pause(names: Names, directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Stop processes in the middle of whatever they do (SIGSTOP), until `resume`."""
    _befall(names, directory, as_json, "paused", lambda it, nodes: it.pause(nodes))


@app.command("resume")
def resume(names: Names, directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Let paused processes go on as if nothing had happened."""
    _befall(names, directory, as_json, "resumed", lambda it, nodes: it.resume(nodes))


@app.command("restart")
def restart(names: Names, directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Stop processes in order, start them again, and wait until they are ready."""

    def again(it: LocalCluster, nodes: Sequence[Node]) -> None:
        with _steps() as tell:
            it.restart(nodes, tell)

    _befall(names, directory, as_json, "restarted", again)


@app.command("cut")
def cut(
    host: HostName,
    directory: Directory = DEFAULT_DIRECTORY,
    one_way: Annotated[
        bool, typer.Option("--one-way", help="Lose only what is sent to the host; what it sends arrives.")
    ] = False,
    mute: Annotated[
        bool, typer.Option("--mute", help="Lose only what the host sends; what is sent to it arrives.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Cut a test host off the network: both ways, or one way only."""
    from veltrix.cluster.network import Way

    if one_way and mute:
        raise typer.BadParameter("--one-way and --mute together are a cut both ways", param_hint="--mute")
    way = Way.TO if one_way else Way.FROM if mute else Way.BOTH
    with _opened(directory) as it:
        it.cut(host, way)
    _done(as_json, {"host": host, "network": "cut", "lost": way.value}, f"{host} is cut off ({way.value}).")


@app.command("delay")
def delay(
    host: HostName,
    milliseconds: Annotated[int, typer.Argument(metavar="MS", min=1, max=60_000, help="How long, each way.")],
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
) -> None:
    """Hold up everything that a test host sends and gets."""
    with _opened(directory) as it:
        it.delay(host, milliseconds)
    _done(
        as_json,
        {"host": host, "network": "delayed", "delay_ms": milliseconds},
        f"{host} is {milliseconds} ms away.",
    )


@app.command("heal")
def heal(
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST]...", help="Test hosts; all unless some are named.")
    ] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
) -> None:
    """End cuts and delays."""
    with _opened(directory) as it:
        it.heal(hosts or [])
        healed = hosts or [host.name for host in it.plan.hosts]
    _done(as_json, {"healed": healed}, f"Healed: {', '.join(healed)}.")


# How all of them speak


@contextmanager
def told() -> Iterator[None]:
    """Errors of the cluster as messages with a remedy."""
    from veltrix.cli.failures import Failure
    from veltrix.cluster.local import ClusterError
    from veltrix.cluster.network import NetworkError
    from veltrix.cluster.tools import EngineMissing

    try:
        yield
    except ClusterError as error:
        raise Failure(str(error), error.remedy) from error
    except EngineMissing as error:
        raise Failure(str(error), "make engines, or install it") from error
    except NetworkError as error:
        raise Failure(str(error)) from error


@contextmanager
def _opened(directory: Path) -> Iterator[LocalCluster]:
    from veltrix.cluster.local import LocalCluster
    from veltrix.cluster.tools import Tools

    with told():
        yield LocalCluster.open(directory.resolve(), Tools.here())


@contextmanager
def _steps() -> Iterator[Callable[[str, int, int], None]]:
    """What is waited for: a line that changes where people watch, a line for each step where they do not."""
    from veltrix.cli.output import console, escape

    errors = console(stderr=True)
    if errors.is_terminal:
        with errors.status("Starting …") as line:
            yield lambda what, done, total: line.update(
                f"[{done}/{total}] {escape(what)}".replace("[", "\\[", 1)
            )
        return
    yield lambda what, done, total: None


def _befall(
    names: Sequence[str],
    directory: Path,
    as_json: bool,
    word: str,
    do: Callable[[LocalCluster, Sequence[Node]], None],
) -> None:
    """Do something to the processes that are named."""
    with _opened(directory) as it:
        nodes: list[Node] = []
        for name in names:
            try:
                nodes += [node for node in it.plan.named(name) if node not in nodes]
            except KeyError:
                known = ", ".join(node.name for node in it.plan.nodes)
                raise typer.BadParameter(
                    f"there is no {name}; there are {known}", param_hint="NAME"
                ) from None
        do(it, nodes)
    told = [node.name for node in nodes]
    _done(as_json, {word: told}, f"{word.capitalize()}: {', '.join(told)}.")


def _done(as_json: bool, document: dict[str, Any], text: str) -> None:
    from veltrix.cli.output import console, print_json

    if as_json:
        print_json(document)
    else:
        console().print(text, markup=False, soft_wrap=True)


def _show(it: LocalCluster, shown: Sequence[Status], as_json: bool) -> None:
    """The table of all processes."""
    from veltrix.cli.output import print_json, print_table
    from veltrix.cluster.plan import Kind
    from veltrix.cluster.watching import Watching

    watchers = Watching(it).status()
    doors = [f"http://{node.endpoint('http')}" for node in it.plan.of(Kind.REGISTRATION)]
    if as_json:
        print_json(
            {
                "profile": it.plan.profile.value,
                "directory": str(it.directory),
                "configuration": str(it.directory / "veltrix.toml"),
                "urls": doors,
                "hosts": [{"name": host.name, "address": host.address} for host in it.plan.hosts],
                "processes": [_document(it, one) for one in shown],
                "watchers": [
                    {"name": one.name, "pid": one.pid, "state": one.state, "url": one.url or None}
                    for one in watchers
                ],
            }
        )
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ["Name", "Host", "Pid", "Ports", "State", "Role"]
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("Name", "Pid"))
    colours = {"ready": "green", "starting": "yellow", "paused": "yellow"}
    for one in shown:
        ports = ", ".join(f"{name} {port}" for name, port in one.node.ports.items())
        host = " ".join(
            filter(None, [one.node.host, one.node.address, f"({one.network})" if one.network else ""])
        )
        state = Text(one.state, style=colours.get(one.state, "red"))
        table.add_row(one.node.name, host, str(one.pid or ""), ports, state, one.role)
    for watcher in watchers:
        state = Text(watcher.state, style=colours.get(watcher.state, "dim"))
        table.add_row(watcher.name, "", str(watcher.pid or ""), watcher.url, state, "watches")
    print_table(table)
    from veltrix.cli.output import console

    console().print(
        f"\nRegister at {' and '.join(doors)}; logs in {it.directory}/logs", soft_wrap=True, markup=False
    )


def _document(it: LocalCluster, one: Status) -> dict[str, Any]:
    return {
        "name": one.node.name,
        "kind": one.node.kind.value,
        "host": one.node.host or None,
        "address": one.node.address,
        "network": one.network or None,
        "ports": dict(one.node.ports),
        "pid": one.pid,
        "state": one.state,
        "role": one.role or None,
        "leader": one.leads,
        "log": str(it.registry.log(one.node.name)),
    }
