"""What librdkafka says, as the errors of the ports."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from veltrix.ports.errors import OutcomeUnknown, PortError, Rejected, Unavailable

_NEVER: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError._INVALID_ARG,
        KafkaError._UNKNOWN_PARTITION,
    }
)
"""Refused by client or broker before anything is written, each time anew."""

_SURELY_NOT: Final = frozenset(
    {
        KafkaError._QUEUE_FULL,
        KafkaError._UNKNOWN_TOPIC,  # there is no log that could hold it
    }
)
"""Not written, but an operator can mend it. Missing rights are not among them: they may be lost between a
first try that succeeded unheard and its repetition."""


def of_delivery(error: KafkaError) -> PortError:
    """Why a record was not acknowledged.

    librdkafka knows whether a message that failed was ever sent (its status NOT_PERSISTED or
    POSSIBLY_PERSISTED), but the Python client does not hand that on, and a time-out may be either. So
    everything is unknown that is not refused by its nature; what surely never left is told apart
    earlier, by not giving it to librdkafka (`sending`).
    """
    if error.code() in _NEVER:
        return Rejected(f"Kafka refuses the record: {error.str()}")
    if error.code() in _SURELY_NOT:
        return Unavailable(f"Kafka does not take the record: {error.str()}")
    return OutcomeUnknown(f"Kafka has not acknowledged the record: {error.str()}")


def error_of(exception: KafkaException) -> KafkaError:
    """The error inside of the exception that the client raises."""
    error = exception.args[0]
    assert isinstance(error, KafkaError)
    return error


def unavailable(what: str, exception: KafkaException) -> Unavailable:
    """An exception of a call that only asks: it did not work now."""
    return Unavailable(f"{what}: {error_of(exception).str()}")
