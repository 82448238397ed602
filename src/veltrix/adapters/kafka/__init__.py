"""The log, published facts and replies in Apache Kafka, through librdkafka.

Needs the extra `cluster` (confluent-kafka). Each client has one Python thread, which waits for librdkafka
and wakes the event loop once for each burst (`threads`).
"""

from veltrix.adapters.kafka.feed import KafkaFeed
from veltrix.adapters.kafka.log import KafkaLog
from veltrix.adapters.kafka.replies import KafkaReplies
from veltrix.adapters.kafka.settings import KafkaSettings
from veltrix.adapters.kafka.topics import Broker, Inspection, Topic, inspect_topics, prepare_topics

__all__ = [
    "Broker",
    "Inspection",
    "KafkaFeed",
    "KafkaLog",
    "KafkaReplies",
    "KafkaSettings",
    "Topic",
    "inspect_topics",
    "prepare_topics",
]
