"""Compile the modules that every message passes, where it is asked for; all else is in pyproject.toml.

`TIELINE_COMPILE=1` has mypyc make C of what `[tool.tieline]` lists, and fails where it cannot; `auto` does so
where there is a C compiler with Python's headers; without it, as in `make install`, nothing is compiled. What
is compiled stands beside its source, which runs where it is not (docs/decisions/0098).
"""

import os
import shutil
import sysconfig
import tomllib
from pathlib import Path
from typing import Final

from setuptools import Extension, setup

VARIABLE: Final = "TIELINE_COMPILE"

OPTIMIZATION: Final = os.environ.get("TIELINE_COMPILE_LEVEL", "2")
"""Of the C compiler: 0 is compiled in half the time, for tests."""


def can_compile() -> bool:
    """Whether there is a C compiler, with the headers of this Python."""
    compiler = os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
    headers = (
        Path(sysconfig.get_path("platinclude")) / "Python.h",
        Path(sysconfig.get_path("include")) / "Python.h",
    )
    return shutil.which(compiler) is not None and any(header.is_file() for header in headers)


def extensions() -> list[Extension]:
    """Make the extensions that are asked for."""
    asked = os.environ.get(VARIABLE, "0")
    if asked not in ("0", "1", "auto"):
        raise SystemExit(f"{VARIABLE}: {asked!r} is unusable; it may be 0, 1 or auto")
    if asked == "0" or (asked == "auto" and not can_compile()):
        return []
    from mypyc.build import mypycify  # is only there where something is to be compiled

    settings = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["tieline"]
    modules = [f"{name.replace('.', '/')}.py" for name in settings["compiled"]]
    return list(mypycify(modules, opt_level=OPTIMIZATION, debug_level="0", group_name="tieline"))


setup(ext_modules=extensions())
