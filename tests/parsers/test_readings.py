"""What a gateway accepts every parser reads as the gateway does: the same command, sender, target and ids."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parsers.readers import CHILDREN, DATA_NAMES, IN_PYTHON, NAMES, Read, Said
from tests.support.examples import scaled
from tests.unit.wire.samples import every_message, frame
from tests.unit.wire.test_envelope_differential import spoiled_frames
from tieline.wire.envelope import Malformed, RoomBody, SignalBody, command_of, decode

CORPUS: Final = Path(__file__).with_name("corpus")

READERS: Final = [
    *IN_PYTHON,
    *(pytest.param(name, marks=pytest.mark.needs(name)) for name in CHILDREN),
]

UNLIKE_OTHERS: Final = re.compile(rb"\\u[dD][89a-fA-F]|[0-9]{16}|[eE][-+]?[0-9]{3}")
"""What a parser may refuse that reads it all: lone surrogates, and numbers that are too great for it."""

ODD_NAMES: Final = [
    *(name for name in (*NAMES, "data", *DATA_NAMES, "code", "call", "place", "x")),
    *(name.upper() for name in (*NAMES, "data", *DATA_NAMES)),
    *(name.capitalize() for name in (*NAMES, "data", *DATA_NAMES)),
    *("requeſtId", "requestıd", "requestİd", "\u212a", "TO\u0000", "from ", "fro\u200bm"),
]

VALUES: Final = [
    *('"mallory"', '"WEBRTC_HANGUP"', '"JOIN"', '"ROOM"'),
    *("null", "1", "{}", '{"from":"eve"}', '":"', '"\\""'),
]


def expected(text: bytes) -> Said | None:
    """What the gateway reads; None: it refuses the frame."""
    message = decode(text)
    if isinstance(message, Malformed):
        return None
    body = message.data
    sender, to, room = None, None, None
    if isinstance(body, SignalBody):
        sender, to = body.sender, body.to
    elif isinstance(body, RoomBody):
        room = body.room
    return Said(message.request_id, message.module, command_of(message), sender, to, room)


def is_read_alike(read: Read, text: bytes) -> bool:
    """Whether a parser reads what the gateway reads, of all that matters for its command."""
    ours = expected(text)
    if ours is None:
        return True
    theirs = read(text)
    if isinstance(theirs, str):
        return UNLIKE_OTHERS.search(text) is not None
    return all(mine is None or mine == other for mine, other in zip(ours, theirs, strict=True))


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Read]]:
    """Every parser that has been asked for so far."""
    with ExitStack() as stack:

        class Readers(dict[str, Read]):
            def __missing__(self, name: str) -> Read:
                begun = CHILDREN[name](tmp_path_factory.mktemp(name))
                self[name] = stack.enter_context(begun)
                return self[name]

        yield Readers(IN_PYTHON)


@st.composite
def with_odd_names(draw: st.DrawFn) -> str:
    """A good frame with more names in its envelope and its data, some of them its own in other letters."""
    message = frame(draw(st.sampled_from(every_message()))).decode()
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(ODD_NAMES))
        written = json.dumps(name, ensure_ascii=draw(st.booleans()))
        if draw(st.booleans()):
            written = '"' + "".join(f"\\u{ord(sign):04x}" for sign in name) + '"'
        member = f"{written}:{draw(st.sampled_from(VALUES))}"
        places = [match.end() for match in re.finditer(r'[{,] ?(?=")', message)]
        ends = [match.start() for match in re.finditer(r"\}", message)]
        if draw(st.booleans()):
            place = draw(st.sampled_from(places))
            message = f"{message[:place]}{member},{message[place:]}"
        else:
            place = draw(st.sampled_from(ends))
            message = f"{message[:place]},{member}{message[place:]}"
    return message


@pytest.mark.parametrize("name", READERS)
def test_every_parser_reads_what_the_gateway_reads(readers: dict[str, Read], name: str) -> None:
    read = readers[name]

    @settings(max_examples=scaled(300), suppress_health_check=list(HealthCheck), deadline=None)
    @given(st.one_of(with_odd_names(), spoiled_frames()))
    def is_read(text: str) -> None:
        assert is_read_alike(read, text.encode())

    is_read()


@pytest.mark.parametrize("name", READERS)
def test_every_parser_reads_the_corpus_as_the_gateway_does(readers: dict[str, Read], name: str) -> None:
    for path in sorted(CORPUS.glob("*/*")):
        text = path.read_bytes()
        assert (expected(text) is not None) == (path.parent.name == "accepted"), path.name
        assert is_read_alike(readers[name], text), path.name


def test_parsers_differ_in_what_is_refused() -> None:
    sender = Said("1", "ROOM", "WEBRTC_OFFER", "ann", "bo", None)
    twice = (CORPUS / "refused/sender-twice").read_bytes()
    other_case = (CORPUS / "refused/sender-in-another-case").read_bytes()

    assert [IN_PYTHON[name](twice) for name in ("json", "orjson")] == [sender, sender]
    assert IN_PYTHON["simdjson"](twice) == sender._replace(sender="eve")
    assert IN_PYTHON["a name in any case"](other_case) == sender._replace(sender="eve")


@pytest.mark.needs("go")
def test_go_reads_a_name_in_another_case(readers: dict[str, Read]) -> None:
    for name, said in (("sender-in-another-case", "eve"), ("request-id-with-a-long-s", "4")):
        answer = readers["go"]((CORPUS / "refused" / name).read_bytes())
        assert isinstance(answer, Said)
        assert said in (answer.sender, answer.request_id)
