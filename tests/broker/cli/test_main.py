"""`tieline COMMAND` as a process of its own: Ctrl-C before the command runs."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

IMPORTING: Final = """
import signal
import sys
from tieline.cli.__main__ import COMMANDS, Command, main

COMMANDS["token"] = Command("interrupted", "", "")
signal.signal(signal.SIGINT, signal.default_int_handler)  # else ignored, below a job in the background
sys.exit(main(["token", "alice"]))
"""

# As in the import system, which takes a weak reference to each lock, and hears of its end by a callback.
INTERRUPTED: Final = """
import os, signal, weakref

class Lock: pass

lock = Lock()
heard = weakref.ref(lock, lambda _: os.kill(os.getpid(), signal.SIGINT))
del lock
"""


def test_ctrl_c_during_an_import_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    code = f"import sys; sys.path.append({str(tmp_path)!r}){IMPORTING}"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout + ended.stderr) == (-signal.SIGINT, "")
