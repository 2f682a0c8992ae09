"""What a line of the log means for somebody who is setting up an application. Pure.

A browser does not tell a page why it could not connect, so that an origin that is not listed, or a wrong
token, looks like a network that is down. The log knows better (`gateway/admission/entrance.py`), and
`log_file` shows what this makes of it. So it is with a backend that hears nothing: the worker's log says what
its receiver answers (`webhooks/delivery.py`).
"""

import re
from typing import Final

import msgspec

EVERY_S: Final = 60.0
"""Before the same is said again: pages try all the time, and by then it may have been forgotten."""

MOST: Final = 8
"""Different hints in that time, so that a scanner fills no screen."""

_REFUSED: Final = b'"event":"connection refused"'
_NOT_TAKEN: Final = b'"event":"webhook not taken"'
_DOUBTED: Final = ("400", "401", "403")
"""What receivers answer whose check of the signature fails."""

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9.:_\[\]-]+")


class _Line(msgspec.Struct):
    reason: str = ""
    origin: str = ""
    user: str = ""
    why: str = ""
    endpoint: str = ""
    outcome: str = ""
    what: str = ""


class Hints:
    """Finds hints in log lines, and remembers which were given lately."""

    def __init__(self) -> None:
        self._given: dict[str, float] = {}

    def of(self, lines: bytes, now_s: float) -> list[str]:
        """Return what is worth saying about these lines now."""
        if not _is_marked(lines):
            return []
        self._given = {hint: at for hint, at in self._given.items() if now_s - at < EVERY_S}
        new: list[str] = []
        for line in lines.splitlines():
            hint = _hint(line) if _is_marked(line) else ""
            if hint and hint not in self._given and len(self._given) < MOST:
                self._given[hint] = now_s
                new.append(hint)
        return new


def _is_marked(text: bytes) -> bool:
    return _REFUSED in text or _NOT_TAKEN in text


def _hint(text: bytes) -> str:
    try:
        line = msgspec.json.decode(text, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    if line.endpoint:
        return _of_webhook(line)
    if line.reason == "FOREIGN_ORIGIN":
        return _of_origin(line.origin)
    if line.reason == "BANNED":
        return (
            f"{_shown(line.user)} was refused, as it is banned (BANNED); `tieline ban USER --lift` ends that"
        )
    if line.why:
        return f"a client was refused for its token: {_shown(line.why)} ({_shown(line.reason)})"
    return ""


def _of_origin(origin: str) -> str:
    if origin == "null":
        return "a page without an origin was refused (FOREIGN_ORIGIN): serve it, instead of opening the file"
    refused = f"a page of {_shown(origin)} was refused, as its origin is not listed (FOREIGN_ORIGIN)"
    if _PLAIN.fullmatch(origin) is None:
        return refused
    return f"{refused}; TIELINE_ORIGINS={origin} lets it in, and takes several with commas between them"


def _of_webhook(line: _Line) -> str:
    failed = (
        f"the webhook {_shown(line.endpoint)} was not taken: {_shown(line.outcome)} ({_shown(line.what)})"
    )
    if line.outcome == "unreachable":
        return f"{failed}; does its receiver listen there?"
    if line.what in _DOUBTED:
        return f"{failed}; does its receiver check with the secret by which it is signed?"
    return failed


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
