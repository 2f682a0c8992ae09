"""Structured logs: one JSON object a line on standard error, fields instead of sentences.

They are written in a thread of their own (`log_writer`).

Never logged: tokens, resume secrets, SDP, candidates.
"""

import json
import logging
from typing import Final

import msgspec

from tieline.runtime.log_writer import LogWriter

_STANDARD_ERROR: Final = 2
_encoder = msgspec.json.Encoder()
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Format a record as one JSON object: `at` (Unix seconds), `level`, `service`, `event`, its `extra`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Encode the record; the message is the event, `extra=` are its fields."""
        line: dict[str, object] = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return str(_encoder.encode(line), "utf-8")
        except (TypeError, UnicodeEncodeError):  # a library's own object, or text that is not UTF-8
            return json.dumps(line, default=repr, skipkeys=True)


def set_up(service: str, level: str) -> LogWriter:
    """Send every log of this process to standard error as JSON lines, until the writer is ended.

    `level` is a name, such as "info".
    """
    root = logging.getLogger()
    # Nothing of it is in a line. It is how the library's documentation says to do without (Optimization).
    vars(logging)["_srcfile"] = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    writer = LogWriter(JsonLines(service), _STANDARD_ERROR)
    writer.begin(root)
    root.setLevel(level.upper())
    for noisy in ("asyncio", "websockets", "nats"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return writer
