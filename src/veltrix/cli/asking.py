"""Commands that ask a running platform over HTTP, with an organizer's key."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from veltrix.cli.exits import ExitCode

_PATIENCE_S: Final = 30.0
Url = Annotated[
    str,
    typer.Option(
        metavar="URL", envvar="VELTRIX_URL", help="Where the platform is reached.", show_default=True
    ),
]
Key = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        envvar="VELTRIX_KEY",
        help="The organizer's API key; better in the environment, where nobody sees it.",
        show_default=False,
    ),
]
URL_DEFAULT: Final = "http://127.0.0.1:8080"


def ask(method: str, path: str, url: str, key: str, body: Any = None) -> Any:
    """The answer as a value, None for one without a body. Raises `Failure` with what the platform says."""
    import json
    import urllib.error
    import urllib.parse
    import urllib.request

    from veltrix.cli.failures import Failure

    if not key:
        raise Failure("there is no API key", "give --key, or set VELTRIX_KEY; veltrix key create makes one")
    base = url.rstrip("/")
    if urllib.parse.urlsplit(base).scheme not in ("http", "https"):
        raise Failure(f"{url!r} is no URL of a platform", f"use one like {URL_DEFAULT}", ExitCode.USAGE)
    headers = {"authorization": f"Bearer {key}", "accept-language": "en"}
    if body is not None:
        headers["content-type"] = "application/json"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{base}{path}", data, headers, method=method)  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310 - checked above
            raw = answer.read()
    except urllib.error.HTTPError as error:
        raise _refused(error.code, error.read()) from None
    except (OSError, ValueError) as error:
        raise Failure(f"{base} cannot be asked: {error}", "is it running, and is --url right?") from None
    return json.loads(raw) if raw else None


def _refused(status: int, raw: bytes) -> Exception:
    """A problem as the platform says it."""
    import json

    from veltrix.cli.failures import Failure

    try:
        problem = json.loads(raw)
        told = [f"{problem['title']}. {problem.get('detail', '')}".strip()]
        remedies = []
        for each in problem.get("errors", []):
            told.append(f"{each.get('field', '').strip('/')} {each.get('fault', '')}".strip())
            remedies.append(each.get("remedy", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Failure(f"the platform answered {status}", "is --url right?", ExitCode.NEGATIVE)
    return Failure("; ".join(told), "; ".join(filter(None, remedies)), ExitCode.NEGATIVE)
