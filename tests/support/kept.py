"""How much memory a process still holds after it has done something many times."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Final

TIMES: Final = 50


def kept_bytes(do: Callable[[int], object]) -> int:
    """Do something for each of `TIMES` numbers, and count the bytes that are held only since then."""
    do(0)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, TIMES + 1):
            do(number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
