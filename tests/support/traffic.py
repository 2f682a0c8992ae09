"""What the tests' clients and gateways say to each other, compared with docs/asyncapi.json.

`RawClient` shows every frame that it sends and gets, every refusal before the upgrade, and every end. What
the document does not describe is kept, and fails the run; what it describes and nobody has said is known as
well, so that nothing stands there which no server says. Nothing here raises: a client that shows a frame goes
on.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs

from tieline.wire.codes import CloseCode, ErrorCode, HandshakeError

NEVER_SENT: Final = {CloseCode.GOING_AWAY, CloseCode.INTERNAL_ERROR, CloseCode.PROTOCOL_VIOLATION}
"""docs/protocol.md#the-tieline-client-protocol-version-1: 1001, 1011 and 4504 are for later."""

CLIENTS_OWN: Final = CloseCode.NORMAL
"""A gateway repeats the code of a client that closes, and closes with no 1000 of its own."""

SELDOM_READ: Final = CloseCode.SLOW_CONSUMER
"""It comes behind what the client does not read, and is cut off after 3 s: whether a client gets to read it
depends on the machine. That gateways close with it is seen in their own count (test_slow_consumers)."""

WITH_MANY_CLIENTS: Final = HandshakeError.BUSY
"""More clients than a test has, at one time: tests/unit/gateway/sessions/test_arrivals.py."""

MOST_KEPT: Final = 20
"""Frames that the document does not describe: one kind of mistake makes many."""

Validators = dict[str, jsonschema_rs.Draft7Validator]


class Traffic:
    """The traffic of a run."""

    def __init__(self, document: dict[str, Any]) -> None:
        channel = document["channels"]["client"]
        self._received = dict(_validators(document, "receive"))
        self._sent = {
            name: validator
            for operation in document["operations"]
            if operation != "receive"
            for name, validator in _validators(document, operation)
        }
        self._refusal_body = jsonschema_rs.Draft7Validator(channel["x-refusal-body"])
        self._refusals = {(each["status"], each["msg"], each["reason"]) for each in channel["x-refusals"]}
        self._codes = {each["code"] for each in channel["x-close-codes"]}
        self._seen: set[str] = set()
        self.strangers: list[str] = []
        """What nothing in the document describes, as it was sent."""

    def received(self, frame: bytes) -> None:
        """Take note of what a gateway has sent."""
        message = _read(frame)
        if message is None:
            return  # what one client has sent another one, with a text that is none in it
        name = _first(self._received, message)
        self._note(name, frame)
        if name == "error":
            self._seen.add(message["reason"])

    def sent(self, frame: bytes) -> None:
        """Take note of what a client has sent. Tests send much that is no message."""
        message = _read(frame)
        name = None if message is None else _first(self._sent, message)
        if name is not None:
            self._seen.add(name)

    def refused(self, status: int, body: bytes) -> None:
        """Take note of a refusal before the upgrade."""
        said = _read(body)
        if said is None or not self._refusal_body.is_valid(said):
            self._note(None, body)
            return
        is_known = (status, said["msg"], said["reason"]) in self._refusals and said["code"] == status
        self._note(_of_handshake(said["reason"]) if is_known else None, body)

    def ended(self, code: int) -> None:
        """Take note of the code with which a gateway has closed a connection."""
        self._note(str(code) if code in self._codes - NEVER_SENT else None, b"the close code %d" % code)

    def _note(self, name: str | None, said: bytes) -> None:
        if name is not None:
            self._seen.add(name)
        elif len(self.strangers) < MOST_KEPT:
            self.strangers.append(said.decode(errors="replace"))

    def unheard(self) -> set[str]:
        """Which messages, reasons and close codes of the document nobody has said."""
        codes = {str(code) for code in self._codes - NEVER_SENT - {CLIENTS_OWN, SELDOM_READ}}
        refusals = {_of_handshake(each.reason) for each in HandshakeError if each is not WITH_MANY_CLIENTS}
        reasons = {error.reason for error in ErrorCode}
        return {*self._received, *self._sent, *codes, *reasons, *refusals} - self._seen


def _of_handshake(reason: str) -> str:
    """A reason before the upgrade: there are errors that are called alike."""
    return f"refused: {reason}"


def _read(frame: bytes) -> Any:
    """Read JSON; None: it is none."""
    try:
        return json.loads(frame)
    except (ValueError, RecursionError):
        return None


def _first(validators: Validators, message: Any) -> str | None:
    """Find what a message is: the server's own words stand before those that it only relays."""
    try:
        return next((name for name, validator in validators.items() if validator.is_valid(message)), None)
    except ValueError:  # a name with half a character in it
        return None


def _validators(
    document: dict[str, Any], operation: str
) -> Iterator[tuple[str, jsonschema_rs.Draft7Validator]]:
    for message in document["operations"][operation]["messages"]:
        name = message["$ref"].rpartition("/")[2]
        payload = document["components"]["messages"][name]["payload"]
        schema = {**payload, "components": {"schemas": document["components"]["schemas"]}}
        yield name, jsonschema_rs.Draft7Validator(schema)
