"""Parsers of others, each as a function of a frame to what it says, or to why it cannot be read.

Those of Python's packages run here; Node and Go run as one child that answers line by line. Two more are what
some parsers do, written down: to take the first of several names, and to take a name in any case.
"""

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import simdjson

from tests.support.demand import program

HERE: Final = Path(__file__).parent

NAMES: Final = ("requestId", "module", "cmd")
DATA_NAMES: Final = ("from", "to", "room")


class Said(NamedTuple):
    """What a frame says; None: it does not say that."""

    request_id: object
    module: object
    cmd: object
    sender: object
    to: object
    room: object


Read = Callable[[bytes], Said | str]


def _said(message: Any) -> Said:
    data = message.get("data")
    body = data if isinstance(data, dict) else {}
    return Said(*(message.get(name) for name in NAMES), *(body.get(name) for name in DATA_NAMES))


def _reader(load: Callable[[bytes], Any]) -> Read:
    def read(frame: bytes) -> Said | str:
        try:
            return _said(load(frame))
        except (ValueError, RecursionError) as problem:
            return f"{type(problem).__name__}: {problem}"

    return read


def _first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _any_case(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known = {name.casefold(): name for name in (*NAMES, "data", *DATA_NAMES)}
    return {known.get(name.casefold(), name): value for name, value in pairs}


def _with_simdjson(frame: bytes) -> Any:
    """Take the first of several names, as simdjson's own look-up does."""
    message = simdjson.Parser().parse(frame)
    assert isinstance(message, simdjson.Object)
    found: dict[str, Any] = {name: message[name] for name in NAMES if name in message}
    data = message.get("data")
    if isinstance(data, simdjson.Object):
        found["data"] = {name: data[name] for name in DATA_NAMES if name in data}
    return found


IN_PYTHON: Final[dict[str, Read]] = {
    "json": _reader(json.loads),
    "orjson": _reader(orjson.loads),
    "simdjson": _reader(_with_simdjson),
    "the first of a name": _reader(lambda frame: json.loads(frame, object_pairs_hook=_first)),
    "a name in any case": _reader(lambda frame: json.loads(frame, object_pairs_hook=_any_case)),
}


@contextmanager
def child(*command: str | Path) -> Iterator[Read]:
    """Run a program that reads a line of base64 and answers with a line of JSON."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        to, answers = process.stdin, process.stdout

        def read(frame: bytes) -> Said | str:
            to.write(base64.b64encode(frame) + b"\n")
            to.flush()
            line = answers.readline()
            assert line, f"{command[0]} has ended"
            answer = json.loads(line)
            if "error" in answer:
                return str(answer["error"])
            return Said(*(answer.get(name) for name in (*NAMES, *DATA_NAMES)))

        yield read
        to.close()


@contextmanager
def node(_folder: Path) -> Iterator[Read]:
    """Read with V8's JSON.parse."""
    with child(str(program("node")), HERE / "read_lines.mjs") as read:
        yield read


@contextmanager
def go(folder: Path) -> Iterator[Read]:
    """Read with Go's encoding/json; the program is built first."""
    binary = folder / "read_lines"
    subprocess.run(
        [str(program("go")), "build", "-o", binary, HERE / "read_lines.go"],
        check=True,
        env=os.environ | {"GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOFLAGS": ""},
    )
    with child(binary) as read:
        yield read


CHILDREN: Final = {"node": node, "go": go}
"""Those that are programs, by their names in `tests.support.demand.PROGRAMS`."""
