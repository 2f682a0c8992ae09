"""What is run by `python -m` and is no service: benchmarks, attacks, faults, and tools of developers."""

import importlib
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

OF_MODULES = (
    "bench --rounds 0",
    "bench --seconds inf",
    "bench --pairs 0",
    "bench --calls 0",
    "bench --idle -1",
    "bench.rooms --members 0",
    "bench.rooms --members 60001",
    "bench.rooms --changes -1",
    "bench.rooms --seconds 0",
    "bench.storm --sessions 0",
    "bench.storm --pairs -1",
    "bench.prices --rounds 0",
    "bench.prices --times 8",
    "bench.prices --members x",
    "tests.attacks --seconds -1",
    "tests.attacks --quiet nan",
    "tests.attacks --share 0",
    "tests.faults.rounds --rounds 0",
    "tests.faults.rounds --messages 0",
    "tests.faults.stops --rounds -1",
)

STARTS_NOTHING: Final = {
    "bench/echo.py",
    "bench/handrolled.py",
    "bench/talk.py",
    "bench/worst_frame.py",
    "tests/attacks/attacking.py",
    "tests/attacks/honest.py",
    "tests/broker/runtime/a_process.py",
    "tests/containers/images.py",
    "tests/support/golden.py",
}
"""Commands that leave nothing behind that does not end by itself."""


TAKES_NONE = {"tests/broker/runtime/a_process.py", "tests/browser/bidi_relay.py"}
"""Options of their own: one takes none, the other hands all that it is given to Firefox."""


def commands() -> set[str]:
    """List the modules that are run as they are."""
    modules = [*ROOT.glob("bench/*.py"), *ROOT.glob("tests/**/*.py")]
    started = [path for path in modules if re.search(r"^if __name__ ==", path.read_text(), re.MULTILINE)]
    return {str(path.relative_to(ROOT)) for path in started}


@pytest.mark.parametrize("words", OF_MODULES)
def test_options_that_make_no_sense_are_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *options = words.split()
    is_package = name in ("bench", "tests.attacks")
    module = importlib.import_module(f"{name}.__main__" if is_package else name)
    with pytest.raises(SystemExit) as ended:
        module.parse(options)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith(f"python -m {name}: argument --")


def test_what_starts_processes_ends_them_on_a_signal() -> None:
    found = commands()
    assert found >= STARTS_NOTHING
    for name in found - STARTS_NOTHING:
        text = (ROOT / name).read_text()
        assert "until_told_to_end(" in text or "end_with(" in text, name


def test_each_reads_its_options_alike() -> None:
    for name in commands() - TAKES_NONE:
        assert "option_parser(" in (ROOT / name).read_text(), name
