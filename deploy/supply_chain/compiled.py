"""Whether what was compiled for the image is loaded in it, instead of the sources beside it.

deploy/Dockerfile runs it in a stage of the image's base. A module that was compiled for another Python is
passed over without a word, and one for a newer libc fails.
"""

import argparse
import importlib
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

SUFFIX: Final = ".so"


class NotLoadedError(Exception):
    """What was compiled is not what runs."""


def main() -> None:
    """Look at the wheels of a folder, whose packages are to be importable."""
    parser = argparse.ArgumentParser(prog="python -m deploy.supply_chain.compiled", description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="what was built of the source")
    asked = parser.parse_args()
    try:
        loaded = [name for wheel in asked.wheels.glob("*.whl") for name in load(compiled_in(wheel))]
    except NotLoadedError as error:
        sys.exit(f"compiled: {error}")
    print(f"compiled modules: {len(loaded)}")


def compiled_in(wheel: Path) -> list[str]:
    """Name the modules that are compiled in a wheel."""
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    return sorted(name.partition(".")[0].replace("/", ".") for name in names if name.endswith(SUFFIX))


def load(names: Iterable[str]) -> list[str]:
    """Import compiled modules; returns their names.

    Raises:
        NotLoadedError: one cannot be imported, or its source was.
    """
    loaded = []
    for name in names:
        try:
            file = importlib.import_module(name).__file__ or ""
        except ImportError as error:
            raise NotLoadedError(f"{name} is not loaded by this Python: {error}") from error
        if not file.endswith(SUFFIX):
            raise NotLoadedError(f"{name} was compiled for another Python, and is {file} here")
        loaded.append(name)
    return loaded


if __name__ == "__main__":
    main()
