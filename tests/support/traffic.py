"""What the tests' clients and gateways say to each other, compared with docs/asyncapi.json.

`RawClient` shows every frame that it sends and gets, and every end. A frame that the document does not
describe is kept, and fails the run; what it describes and nobody has said is known as well, so that nothing
stands there which no server says.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs

from tieline.wire.codes import CloseCode, ErrorCode

NEVER_SENT: Final = {CloseCode.GOING_AWAY, CloseCode.INTERNAL_ERROR, CloseCode.PROTOCOL_VIOLATION}
"""docs/protocol.md#the-tieline-client-protocol-version-1: 1001, 1011 and 4504 are for later."""

SELDOM_READ: Final = {CloseCode.NORMAL, CloseCode.SLOW_CONSUMER}
"""The server closes with 1000 where the client did; who reads too little seldom comes to read the 4000."""

MOST_KEPT: Final = 20
"""Frames that the document does not describe: one kind of mistake makes many."""


class Traffic:
    """The traffic of a run."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._received = dict(_validators(document, "receive"))
        self._sent = {
            name: validator
            for operation in document["operations"]
            if operation != "receive"
            for name, validator in _validators(document, operation)
        }
        self._codes = {each["code"] for each in document["channels"]["client"]["x-close-codes"]}
        self._seen: set[str] = set()
        self.strangers: list[str] = []
        """What no message of the document describes, as it was sent."""

    def received(self, frame: bytes) -> None:
        """Take note of what a gateway has sent."""
        try:
            message = json.loads(frame)
        except ValueError:
            return  # what one client has sent another one, with a text that is none in it
        names = [name for name, validator in self._received.items() if validator.is_valid(message)]
        self._note(names, frame.decode())
        if "error" in names:
            self._seen.add(message["reason"])

    def sent(self, frame: bytes) -> None:
        """Take note of what a client has sent. Tests send much that is no message."""
        try:
            message = json.loads(frame)
        except (ValueError, RecursionError):
            return
        self._seen.update(name for name, validator in self._sent.items() if validator.is_valid(message))

    def ended(self, code: int) -> None:
        """Take note of how a connection was closed: a gateway repeats a code of the client."""
        if code in self._codes:
            self._seen.add(str(code))

    def _note(self, names: list[str], said: str) -> None:
        self._seen.update(names)
        if not names and len(self.strangers) < MOST_KEPT:
            self.strangers.append(said)

    def unheard(self) -> set[str]:
        """Which messages, reasons and close codes of the document nobody has said."""
        codes = {str(code) for code in self._codes - NEVER_SENT - SELDOM_READ}
        reasons = {error.reason for error in ErrorCode}
        return {*self._received, *self._sent, *codes, *reasons} - self._seen


def _validators(
    document: dict[str, Any], operation: str
) -> Iterator[tuple[str, jsonschema_rs.Draft7Validator]]:
    for message in document["operations"][operation]["messages"]:
        name = message["$ref"].rpartition("/")[2]
        payload = document["components"]["messages"][name]["payload"]
        schema = {**payload, "components": {"schemas": document["components"]["schemas"]}}
        yield name, jsonschema_rs.Draft7Validator(schema)
