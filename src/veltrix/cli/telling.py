"""What `veltrix endpoint` and `veltrix notice` share: the stores, and what is wrong in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from veltrix.cli.exits import ExitCode

if TYPE_CHECKING:
    from veltrix.cli.failures import Failure
    from veltrix.config import Config
    from veltrix.registration.problems import Problem
    from veltrix.registration.telling import Telling

T = TypeVar("T")
BY: Final = "command line"
"""Who gave an order."""


def with_telling(config: Config, use: Callable[[Telling], Awaitable[T]]) -> T:
    """Do something with the stores of endpoints and notices; a running platform may use them too.

    What the API would answer with a problem is a `Failure`.
    """
    import asyncio

    from veltrix.bootstrap.telling import opened_telling
    from veltrix.registration.problems import Problem

    async def main() -> T:
        async with opened_telling(config) as telling:
            try:
                return await use(telling)
            except Problem as problem:
                raise failure_of(problem) from None

    return asyncio.run(main())


def failure_of(problem: Problem) -> Failure:
    """A problem as the command line tells it."""
    from veltrix.cli.failures import Failure

    body = problem.body("en", "")
    if not body.errors:
        return Failure(f"{body.title}: {body.detail}", "", ExitCode.NEGATIVE)
    told = [f"{each.field.strip('/') or 'the choice'} {each.fault}; {each.remedy}" for each in body.errors]
    return Failure("; ".join(told), "", ExitCode.USAGE)


def is_there(config: Config, file: str = "outreach.db") -> bool:
    """Whether there is a store; where there is none, looking must not make one."""
    return config.clustered or (config.data.directory / file).exists()


def body_of(shape: type[Any], values: dict[str, Any]) -> Any:
    """The body that the API would have got, checked by the same rules."""
    import msgspec

    from veltrix.registration.calls import fault_of
    from veltrix.registration.problems import invalid_body

    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise invalid_body(fault_of(str(error))) from None
