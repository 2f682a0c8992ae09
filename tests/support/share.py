"""A part of the tests, another one with each seed: `pytest --one-in 8 --share-seed 7`.

Whole files, because most of the time of one goes into the system that all its tests share.
"""

import zlib


def is_in_share(file: str, one_in: int, seed: str) -> bool:
    """Whether the tests of a file are among one in so many."""
    return zlib.crc32(f"{seed} {file}".encode()) % one_in == 0
