"""A Kafka topic, read whole: all its partitions by manual assignment, from offsets that somebody else keeps.

Belongs here: confluent-kafka, and what a broker that is away looks like. Does not belong here: what messages mean, or
keeping offsets (`serving.stream.stream`).

There is no consumer group and no rebalancing: one process reads all partitions. The group id is a name that librdkafka
insists on; nothing is ever committed to the broker.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from serving.stream.address import Address, StreamAddressError
from warehouse.errors import MissingExtraError

if TYPE_CHECKING:
    import confluent_kafka as kafka

METADATA_SECONDS = 5.0
"""How long a broker may take to say which partitions there are."""

_QUIET = logging.getLogger("marquee.stream.librdkafka")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class Message(NamedTuple):
    """What a topic has at one place.

    Attributes
    ----------
    partition, offset : int
    value : bytes or None
        None where the message is empty.
    skipped : int
        Offsets before it at which nothing was: deleted by age, or marks of transactions. Less than 0: the partition
        begins anew.
    """

    partition: int
    offset: int
    value: bytes | None
    skipped: int


class Topic:
    """The messages of a topic.

    Parameters
    ----------
    address : Address
    properties : mapping
        Of the client, beside those it needs.

    Attributes
    ----------
    problem : str
        Why no broker can be asked now; empty if one can.

    Raises
    ------
    UsageError
        If the package is missing or a property cannot be.
    """

    def __init__(self, address: Address, properties: Mapping[str, str]) -> None:
        try:
            import confluent_kafka as kafka
        except ImportError:
            text = "streams need the package confluent-kafka: pip install 'marquee[kafka]'"
            raise MissingExtraError(text) from None
        self._kafka, self._name = kafka, address.topic
        self.problem = ""
        self._next: dict[int, int | None] = {}
        ruled: dict[str, Any] = {
            "bootstrap.servers": address.brokers,
            "group.id": "marquee",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",  # of what is gone by age, or of a topic made anew
            "enable.partition.eof": True,
            "max.poll.interval.ms": 86_400_000,  # a full disk may take a night
            "reconnect.backoff.max.ms": 2000,
            "error_cb": self._on_error,
            "logger": _QUIET,
        }
        try:
            self._consumer = kafka.Consumer({"client.id": "marquee", **properties, **ruled})
        except kafka.KafkaException as error:
            raise StreamAddressError(f"the Kafka client refuses its properties: {error.args[0].str()}") from None

    def _on_error(self, error: "kafka.KafkaError") -> None:
        """Called while reading; a broker of several that is away is no problem."""
        if error.code() == self._kafka.KafkaError._ALL_BROKERS_DOWN or error.fatal():
            self.problem = error.str()

    def look(self) -> tuple[str, list[int]] | None:
        """Name of the cluster, and the partitions there are now; None and a `problem` if nobody can say."""
        try:
            found = self._consumer.list_topics(self._name, METADATA_SECONDS)
        except self._kafka.KafkaException as error:
            self.problem = error.args[0].str()
            return None
        topic = found.topics[self._name]
        self.problem = "" if topic.error is None else f"topic {self._name}: {topic.error.str()}"
        return None if self.problem else (found.cluster_id or "", sorted(topic.partitions))

    def begin(self, partition: int, offset: int | None = None) -> None:
        """Read a partition, from an offset on or from the first message it has."""
        start = self._kafka.OFFSET_BEGINNING if offset is None else offset
        place = self._kafka.TopicPartition(self._name, partition, start)
        if partition in self._next:
            self._consumer.incremental_unassign([place])
        self._consumer.incremental_assign([place])
        self._next[partition] = offset

    def read(self, most: int, seconds: float) -> list[Message]:
        """Messages that come within a time, at most so many; those of a partition in their order."""
        found = []
        for message in self._consumer.consume(most, seconds):
            partition, offset, error = message.partition(), message.offset(), message.error()
            if error is not None and error.code() != self._kafka.KafkaError._PARTITION_EOF:
                self.problem = error.str()
                continue
            assert partition is not None
            assert offset is not None
            self.problem = ""
            following = offset if error else offset + 1  # an end lies behind marks of transactions, which nobody sees
            if error is None:
                expected = self._next[partition]
                found.append(
                    Message(partition, offset, message.value(), offset - (offset if expected is None else expected))
                )
            self._next[partition] = following
        return found

    def lag(self) -> dict[int, int]:
        """Messages not read yet, by partition, as far as brokers told; less than 0: it ends before what was read."""
        ends = {
            partition: self._consumer.get_watermark_offsets(
                self._kafka.TopicPartition(self._name, partition), cached=True
            )[1]
            for partition in self._next
        }
        return {partition: end - (self._next[partition] or 0) for partition, end in ends.items() if end >= 0}

    def close(self) -> None:
        """Leave the brokers."""
        self._consumer.close()
