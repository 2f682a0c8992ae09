"""Let a process's wall clock be wrong: Python runs this first in a process that has this folder on its path.

What shifts the clock is the variable below, in seconds. The monotonic clock stays as it is, as it does where
somebody sets the clock of a machine.
"""

import os
import time

_AHEAD_S = float(os.environ["SHIFTED_CLOCK_AHEAD_S"])
_time, _time_ns = time.time, time.time_ns

vars(time).update(time=lambda: _time() + _AHEAD_S, time_ns=lambda: _time_ns() + int(_AHEAD_S * 1e9))
