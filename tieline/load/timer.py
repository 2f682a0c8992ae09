"""An alarm that rings to some ten microseconds, by timerfd_create(2): Linux only.

The timers of uvloop and asyncio know milliseconds, which is what a signal takes. Python has these calls from
3.13 on (`os.timerfd_create`); until then they are called in libc.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from typing import Final

from tieline.load.measurement import clock

_CLOCK_MONOTONIC: Final = 1
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC
_NS_PER_S: Final = 1_000_000_000
_BYTES: Final = 8
"""Of the counter that is read from such a descriptor."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Moment), ("value", _Moment))


class Alarm:
    """Calls `on_ring` once for each `ring_at`. Made in a running loop, and to be closed."""

    def __init__(self, on_ring: Callable[[], None]) -> None:
        """Make it.

        Raises:
            OSError: there is no descriptor left.
        """
        self._on_ring = on_ring
        self._loop = asyncio.get_running_loop()
        self._descriptor: int = _libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._loop.add_reader(self._descriptor, self._rang)

    def ring_at(self, moment: float) -> None:
        """Ring at this moment of `clock`, or as soon as may be if it is past, instead of what was set."""
        after = max(1, int((moment - clock()) * _NS_PER_S))
        setting = _Setting(_Moment(0, 0), _Moment(*divmod(after, _NS_PER_S)))
        _libc.timerfd_settime(self._descriptor, 0, ctypes.byref(setting), None)

    def close(self) -> None:
        """Ring no more."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _rang(self) -> None:
        try:
            os.read(self._descriptor, _BYTES)
        except BlockingIOError:  # it was set anew meanwhile
            return
        self._on_ring()
