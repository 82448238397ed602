"""Looks at a deployment end to end: engines, schemas, files, certificates, processes, and a canary's way."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from veltrix.adapters.system import SystemClock, SystemEntropy
from veltrix.bootstrap.observing import not_after_s
from veltrix.config import Config, Loaded
from veltrix.ports.errors import PortError
from veltrix.readiness.canary import ORGANIZER, Door, Refused, gone, registered, told
from veltrix.readiness.check import examine_engines
from veltrix.readiness.checkup import Look, State, ill, of_findings, poor, unseen, well
from veltrix.readiness.clocks import SKEW_DANGER_S
from veltrix.readiness.files import judge_files
from veltrix.readiness.findings import Finding

LOOK_S: Final = 5.0
EXPIRES_SOON_S: Final = 21 * 24 * 3600.0
_ENGINES: Final = {"kafka": "Kafka", "postgres": "PostgreSQL", "etcd": "etcd"}
_SILENT: Final = frozenset(
    f"{name}_{what}" for name in _ENGINES for what in ("unreachable", "version", "primary")
) | {"clients_missing"}
_DAY_S: Final = 24 * 3600.0
_KEY_VARIABLE: Final = "VELTRIX_DOCTOR_KEY"
Told = Callable[[Look], None]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of the doctor. `url`: where registration answers; `mail_to`: to whom the canary's mail
    goes. Without them both follow from the configuration."""

    url: str = ""
    canary: bool = True
    mail_to: str = ""


async def examine_all(loaded: Loaded, wishes: Wishes, say: Told) -> list[Look]:
    """Every look, in the order in which it was taken; `say` is told of each at once."""
    looks: list[Look] = []

    def seen(found: Sequence[Look]) -> bool:
        looks.extend(found)
        for look in found:
            say(look)
        return all(look.state is not State.ILL for look in found)

    config = loaded.config
    seen(_files(loaded))
    seen(_certificates(config))
    if config.clustered:
        seen(_engines(await examine_engines(config, None)))
        seen(await _schemas(config))
    else:
        seen(_data(config))
    url = wishes.url or (config.http.url() if config.clustered else config.http.local_url())
    served = seen(await asyncio.to_thread(_service, url))
    if not wishes.canary:
        seen([unseen("canary", "not asked for", "leave --no-canary out to try it end to end")])
    elif not served:
        remedy = "mend that first"
        seen([unseen("canary", "registration does not answer, or is not ready", remedy)])
    else:
        seen(await _canary(config, url, wishes.mail_to))
    return looks


def _engines(findings: Sequence[Finding]) -> list[Look]:
    """Which engines answer, and whatever else there is to be said of them."""
    silent = {finding.code.partition("_")[0] for finding in findings if finding.code in _SILENT}
    answering = [name for code, name in _ENGINES.items() if code not in silent and "clients" not in silent]
    looks = of_findings(findings)
    if answering:
        looks.insert(0, well("engines", f"{', '.join(answering)} answer, in versions that Veltrix knows"))
    return looks


def _files(loaded: Loaded) -> list[Look]:
    key = loaded.config.secrets.master_key_file
    looks = of_findings(judge_files(loaded))
    if not key.exists() and loaded.config.clustered:
        remedy = "put the file of the deployment there; `veltrix cluster prepare` makes one for a new one"
        looks.append(ill("secrets.master_key_file", f"{key} is not there", remedy))
    elif key.exists() and not os.access(key, os.R_OK):
        looks.append(
            ill("secrets.master_key_file", f"{key} cannot be read by this user", "run it as Veltrix' user")
        )
    return looks or [well("secret files", "for their owner alone")]


def _certificates(config: Config) -> list[Look]:
    """Those in files, and the one that people's browsers see."""
    looks = []
    for section in ("kafka", "postgres", "etcd"):
        for name in ("ca_file", "certificate_file"):
            path = getattr(getattr(config, section), name)
            if path is None:
                continue
            key = f"{section}.{name}"
            try:
                looks.append(judge_expiry(key, not_after_s(path)))
            except (OSError, ValueError) as error:
                looks.append(ill(key, f"{path} cannot be read: {error}", "correct the path or the file"))
    parts = urlsplit(config.http.public_url or "")
    if parts.scheme == "https" and parts.hostname:
        looks.append(_presented(parts.hostname, parts.port or 443))
    return looks


def _presented(host: str, port: int) -> Look:
    from cryptography import x509

    name = f"the certificate of {host}"
    try:
        text = ssl.get_server_certificate((host, port), timeout=LOOK_S)
        certificate = x509.load_pem_x509_certificate(text.encode())
    except (OSError, ValueError) as error:
        return unseen(name, str(error), "see that http.public_url is reachable from here")
    return judge_expiry(name, certificate.not_valid_after_utc.timestamp())


def judge_expiry(name: str, not_after: float, now_s: float | None = None) -> Look:
    """How long a certificate is good; `not_after` in seconds since the epoch."""
    left_s = not_after - (time.time() if now_s is None else now_s)
    if left_s <= 0:
        said = f"expired {-left_s / _DAY_S:.0f} days ago"
        return ill(name, said, "replace it, and restart what uses it")
    said = f"good for {left_s / _DAY_S:.0f} days"
    if left_s < EXPIRES_SOON_S:
        return poor(name, said, "renew it now, and let something renew it from now on")
    return well(name, said)


async def _schemas(config: Config) -> list[Look]:
    from veltrix.adapters.postgres.schema import examine_schema
    from veltrix.bootstrap.engines import AUDIT_ROLE, REGISTRATION_ROLE, postgres_settings

    looks = []
    for what, role, vault in (("ledger", AUDIT_ROLE, False), ("vault", REGISTRATION_ROLE, True)):
        name = f"schema of the {what}"
        try:
            settings = postgres_settings(config, "veltrix-doctor", role, vault=vault)
            found = await examine_schema(settings, vault=vault)
        except PortError as error:
            looks.append(unseen(name, str(error), "mend PostgreSQL first, or the role's right to look"))
            continue
        if found.steps:
            said = f"lacks {', '.join(found.steps)}"
            looks.append(ill(name, said, "run veltrix cluster prepare"))
        else:
            looks.append(well(name, f"as this version needs it ({found.step})"))
        if found.constraints:
            remedy = "nothing keeps a defect from overselling: restore them from the migrations, then audit"
            looks.append(ill(f"constraints of the {what}", f"{', '.join(found.constraints)} missing", remedy))
        elif not vault:
            looks.append(well(f"constraints of the {what}", "there, and validated"))
    return looks


def _data(config: Config) -> list[Look]:
    """The files of an embedded deployment."""
    from veltrix.adapters.sqlite.database import Database
    from veltrix.adapters.sqlite.schema import KIND

    directory = config.data.directory
    if not (directory / "ledger.db").is_file():
        return [ill("data", f"there is none in {directory}", "start veltrix serve, or name it with --data")]
    if not os.access(directory, os.W_OK):
        return [ill("data", f"{directory} cannot be written by this user", "run it as the user of Veltrix")]
    try:
        connection = Database(directory / "ledger.db", KIND, read_only=True).connect()
    except PortError as error:
        return [ill("schema of the ledger", str(error), "start the version of Veltrix that wrote it")]
    try:
        rows = connection.execute("SELECT coalesce(sql, '') FROM sqlite_master").fetchall()
    finally:
        connection.close()
    text = "\n".join(row[0] for row in rows)
    lacking = [name for name in ("never_oversold", "one_per_email", "one_first_decision") if name not in text]
    if lacking:
        remedy = "nothing keeps a defect from overselling: restore a backup, then audit"
        return [ill("constraints of the ledger", f"{', '.join(lacking)} missing", remedy)]
    return [
        well("schema of the ledger", f"as this version needs it ({KIND.version})"),
        well("constraints of the ledger", "there"),
    ]


def _service(url: str) -> list[Look]:
    """Whether registration answers, is ready, and has the right time."""
    opener = build_opener(ProxyHandler({}))
    asked_s = time.time()
    try:
        try:
            with opener.open(f"{url}/readyz", timeout=LOOK_S) as answer:
                status, headers, body = answer.status, answer.headers, answer.read(65_536)
        except HTTPError as error:
            status, headers, body = error.code, error.headers, error.read(65_536)
        checks: dict[str, Any] = json.loads(body)["checks"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = f"{url} does not answer as registration does: {getattr(error, 'reason', None) or error}"
        return [
            ill("registration", said, "start it (veltrix serve, veltrix run registration), or name --url")
        ]
    wrong = sorted(name for name, holds in checks.items() if not holds)
    looks = [well("registration", f"ready at {url}")]
    if status != 200 or wrong:
        remedy = "its log says why; veltrix top shows what else is not ready"
        looks = [ill("registration", f"not ready at {url}: {', '.join(wrong)}", remedy)]
    if date := headers.get("date"):
        ahead_s = parsedate_to_datetime(date).timestamp() - asked_s
        if abs(ahead_s) > SKEW_DANGER_S:
            said = f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
            looks.append(
                ill("the clock of registration", said, "let NTP (chrony) keep all machines together")
            )
        else:
            looks.append(well("the clock of registration", "agrees with this machine's"))
    return looks


async def _canary(config: Config, url: str, mail_to: str) -> list[Look]:
    try:
        async with _key(config) as key:
            door = Door(url, key)
            looks, registration, event = await asyncio.to_thread(
                registered, door, mail_to or _address(config)
            )
            looks.append(await _told(config, registration))
            looks.append(await asyncio.to_thread(gone, door, event))
            return looks
    except Refused as refused:
        return [ill("canary", str(refused), "look at registration's log, and with veltrix top at what lags")]
    except PortError as error:
        return [ill("canary", str(error), f"mend that, or give an API key in {_KEY_VARIABLE}")]


def _address(config: Config) -> str:
    """Where the canary's mail goes: to the sender itself, whose address there is."""
    if config.notification.channel == "spool":
        return "canary@veltrix.invalid"
    return config.notification.sender.rpartition("<")[2].rstrip(">")


@asynccontextmanager
async def _key(config: Config) -> AsyncIterator[str]:
    """An API key for the canary: the one in the environment, or one of its own, revoked at the end."""
    from veltrix.bootstrap.stores import api_keys
    from veltrix.ports.access import Scope
    from veltrix.registration.access import new_api_key

    given = os.environ.get(_KEY_VARIABLE)
    if given:
        yield given
        return
    async with api_keys(config) as access:
        key, text = new_api_key(ORGANIZER, [Scope.WRITE], SystemEntropy(), SystemClock(), "canary")
        await access.add(key)
        try:
            yield text
        finally:
            await access.revoke(key.id)


async def _told(config: Config, registration: str) -> Look:
    from veltrix.bootstrap.stores import opened_paths
    from veltrix.ports.deliveries import Wanted

    async with opened_paths(config) as (_, _, deliveries, _):

        async def statuses(of: str) -> list[tuple[str, str, str]]:
            found = await deliveries.search(Wanted(registration=of), None, 10)
            return [(each.notice.channel, each.status.value, each.detail) for each in found]

        return await told(registration, statuses)
