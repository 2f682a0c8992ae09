"""In how many partitions the systems of this run keep what they store: `pytest --partitions 4`.

Tests of whole systems run with any number; those that are about streams by their names ask here for these.
"""

import os
from collections.abc import Mapping
from typing import Final

from tieline.wire import jetstream
from tieline.wire.partitions import FIRST, unplaced
from tieline.wire.subjects import Subjects

VARIABLE: Final = "TIELINE_TEST_PARTITIONS"


def partitions() -> int:
    """Return the number, 1 unless this run was told another one."""
    return int(os.environ.get(VARIABLE) or "1")


def subjects_of(namespace: str) -> Subjects:
    """Make the subjects of a system of this run."""
    return Subjects(namespace, partitions())


def buckets_of(namespace: str) -> list[str]:
    """Name the streams of a system's bucket."""
    return [jetstream.bucket_stream(part.bucket()) for part in subjects_of(namespace).parts()]


def mailboxes_of(namespace: str) -> list[str]:
    """Name the streams of a system's mailbox."""
    return [part.mailbox() for part in subjects_of(namespace).parts()]


def subject_of_key(namespace: str, key: str) -> str:
    """Name what a key of a system's bucket is published to: in its partition, or in the first one."""
    subjects = subjects_of(namespace)
    part = subjects.parts()[subjects.partitions.of_key(key) or FIRST]
    return jetstream.bucket_prefix(part.bucket()) + unplaced(key)


def told_to_all(listed: Mapping[str, object]) -> dict[str, object]:
    """Return what all who list a room are told: its number is each partition's own."""
    return {name: value for name, value in listed.items() if name != "number" or partitions() == 1}
