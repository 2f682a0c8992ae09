"""A bar on a terminal that shows how far a measurement is; where standard error is none, nothing.

tqdm writes a line in some ten microseconds, so that what is measured by the same loop hardly notices.
"""

import asyncio
from types import TracebackType
from typing import Final, NoReturn, Self

from tqdm import tqdm

from tieline.load.measurement import Measurement

EVERY_S: Final = 0.25
"""Between two looks: often enough to look alive."""

_FORMAT: Final = "{desc} {percentage:3.0f}%|{bar:30}| {n:,.0f}/{total:,.0f}{unit}"


class Progress:
    """Shows one measurement while its block runs."""

    def __init__(self, name: str, measured: Measurement) -> None:
        self._name = name
        self._measured = measured

    def __enter__(self) -> Self:
        tqdm.monitor_interval = 0  # no thread of its own
        self._bar: tqdm[NoReturn] = tqdm(
            total=1, disable=None, leave=False, bar_format=_FORMAT, miniters=0, mininterval=0
        )
        self._look()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._next.cancel()
        self._bar.close()

    def _look(self) -> None:
        phase = self._measured.phase
        if not self._bar.disable and phase.goal:
            self._bar.set_description_str(f"{self._name}: {phase.what}", refresh=False)
            self._bar.unit = " s" if phase.is_time else ""
            self._bar.total, self._bar.n = phase.goal, phase.done
            self._bar.refresh()
        self._next = asyncio.get_running_loop().call_later(EVERY_S, self._look)
