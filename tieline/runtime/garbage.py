"""Keep the collector of reference cycles from stopping a process for long.

CPython looks for cycles in three generations, and stands still meanwhile: 25 ms for all that a service has
imported, twice that with some hundred clients. With its usual thresholds everybody who makes a service begin
many things, such as connections, has it look through everything again and again.
"""

import gc
from typing import Final

THRESHOLDS: Final = (700, 3, 75)
"""Objects that are new since the last look at the youngest; such looks before one at those that survived it,
which takes about 1 ms so; and those before one at all: after 150,000 objects that have lasted."""


def settle() -> None:
    """Look at what there is once more and then never again, and seldom at all that comes.

    Call it once, when all that the process needs has been imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
