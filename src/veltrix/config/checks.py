"""What no single setting shows: settings that contradict each other, and what is worth a second look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from veltrix.config.engine_checks import ENGINE_CHECKS, engine_remarks
from veltrix.config.model import SETTINGS, is_loopback
from veltrix.config.sources import Origin, Problem, Source, shown

Values = Mapping[str, Any]
Check = Callable[[Values], Iterator[tuple[tuple[str, ...], str, str]]]


def _bounds(values: Values) -> Iterator[tuple[tuple[str, ...], str, str]]:
    if values["http.held_requests_max"] > values["log.undecided_max"]:
        yield (
            ("http.held_requests_max", "log.undecided_max"),
            "more requests could be held than commands may be undecided",
            "lower held_requests_max or raise undecided_max",
        )
    if values["http.rate_burst"] < values["http.rate_per_address"]:
        yield (
            ("http.rate_burst", "http.rate_per_address"),
            "the burst is smaller than what one second allows, so the rate could never be reached",
            "raise rate_burst or lower rate_per_address",
        )
    if values["imports.in_flight"] > values["imports.rows_max"]:
        yield (
            ("imports.in_flight", "imports.rows_max"),
            "more rows could be undecided than an import may have",
            "lower in_flight or raise rows_max",
        )
    if values["notification.lease"] <= values["smtp.timeout"]:
        yield (
            ("notification.lease", "smtp.timeout"),
            "the lease ends before the attempt that it covers, so mails would be sent twice",
            "make the lease longer than the timeout",
        )


def _mail(values: Values) -> Iterator[tuple[tuple[str, ...], str, str]]:
    smtp = values["notification.channel"] == "smtp"
    if smtp and values["smtp.host"] is None:
        yield ("notification.channel", "smtp.host"), "there is no mail server to send to", "set smtp.host"
    if smtp and values["notification.sender"] == SETTINGS["notification.sender"].default:
        yield (
            ("notification.channel", "notification.sender"),
            "no mail server takes the sender that stands in for yours",
            "set notification.sender to an address of yours",
        )
    if (values["smtp.username"] is None) != (values["smtp.password"] is None):
        yield (
            ("smtp.username", "smtp.password"),
            "only one of them is given",
            "give both, or neither when the server wants no login",
        )
    host = values["smtp.host"]
    if values["smtp.security"] == "none" and values["smtp.password"] and host and not is_loopback(host):
        yield (
            ("smtp.security", "smtp.host", "smtp.password"),
            "the password would cross the network in clear",
            'set smtp.security to "starttls" or "tls"',
        )


def _directories(values: Values) -> Iterator[tuple[tuple[str, ...], str, str]]:
    data, spool = values["data.directory"], values["notification.spool_directory"]
    if data == spool or spool in data.parents:
        yield (
            ("notification.spool_directory", "data.directory"),
            "mails would lie among the data",
            "give the spool a directory of its own",
        )


CHECKS: tuple[Check, ...] = (_bounds, _mail, _directories, *ENGINE_CHECKS)


def contradictions(values: Values, origins: Mapping[str, Origin]) -> list[Problem]:
    """Every pair of settings that cannot both hold; told with all keys, values and where they came from."""
    problems = []
    for check in CHECKS:
        for keys, message, remedy in check(values):
            # What was set comes before what is so by default.
            first, *others = sorted(keys, key=lambda key: origins[key].source is Source.DEFAULT)
            with_others = ", ".join(f"{key} = {_value(key, values)} ({origins[key]})" for key in others)
            problems.append(
                Problem(
                    first,
                    _value(first, values),
                    str(origins[first]),
                    f"contradicts {with_others}: {message}",
                    remedy,
                )
            )
    return problems


def _value(key: str, values: Values) -> str:
    value = values[key]
    return "(not set)" if value is None else shown(SETTINGS[key].kind.show(value))


def remarks(values: Values) -> Iterator[str]:
    """What is allowed, but probably not what was meant."""
    url, host = values["http.public_url"], values["http.host"]
    if url is None and not is_loopback(host):
        yield (
            "http.public_url is not set while Veltrix listens beyond this machine: "
            "links in pages and mails will not work elsewhere"
        )
    if (
        url is not None
        and url.startswith("http://")
        and not is_loopback(url[7:].rpartition(":")[0] or url[7:])
    ):
        yield "http.public_url begins with http://: names and addresses cross the network in clear"
    if values["smtp.host"] is not None and values["notification.channel"] != "smtp":
        yield (
            f"smtp.host is set, but notification.channel is {values['notification.channel']}: "
            "mails are written to files, not sent"
        )
    yield from engine_remarks(values)
