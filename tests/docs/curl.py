"""Stands in for curl where there is none: the few options that the documents use, as curl means them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import httpx

FAILED = 22
TIMED_OUT = 28


def parser() -> argparse.ArgumentParser:
    """The options that the documents may use; any other is an error."""
    known = argparse.ArgumentParser(prog="curl", allow_abbrev=False)
    known.add_argument("url")
    known.add_argument("-f", dest="fail", action="store_true")
    for flag in ("-s", "-S", "-N"):
        known.add_argument(flag, action="store_true")
    known.add_argument("-X", dest="method")
    known.add_argument("-H", dest="headers", action="append", default=[])
    known.add_argument("-d", "--data-binary", dest="data")
    known.add_argument("-D", dest="head", type=Path)
    known.add_argument("-o", dest="output", type=Path)
    known.add_argument("--max-time", dest="most_s", type=float)
    return known


def main(arguments: list[str]) -> int:
    """Send the request and write the body as it comes; the exit code is curl's."""
    asked = parser().parse_args(arguments)
    data = sys.stdin.read() if asked.data == "@-" else asked.data
    headers = [(name, value.strip()) for name, _, value in (each.partition(":") for each in asked.headers)]
    method = asked.method or ("GET" if data is None else "POST")
    try:
        with (
            httpx.Client(timeout=asked.most_s or 30.0, trust_env=False) as client,
            client.stream(method, asked.url, headers=headers, content=data) as answer,
        ):
            if asked.fail and answer.status_code >= 400:
                return FAILED
            if asked.head is not None:
                lines = [f"{name}: {value}\r\n" for name, value in answer.headers.items()]
                asked.head.write_text("".join(lines), encoding="utf-8")
            if asked.output is not None:
                asked.output.write_bytes(answer.read())
            for text in answer.iter_text() if asked.output is None else ():
                sys.stdout.write(text)
                sys.stdout.flush()
    except httpx.TimeoutException:
        return TIMED_OUT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
