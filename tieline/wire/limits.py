"""Numbers of the protocol that several processes must agree on.

A number that one module alone needs stands in that module, with its reason.
"""

from typing import Final

RETRY_WINDOW_S: Final = 60.0
"""How long the very same frame from the same sender is a retry (docs/protocol.md#2-envelope): presence
remembers so long what it decided, the mailbox what it stored, gateways and clients what they were sent."""

LONGEST_TOKEN: Final = 16_384
"""Bytes of a token: what a request line or a header may have of it, with room for the rest. A longer one
is not even decoded: a stranger may send any number. Gateways may hand tokens on to presence."""

MAX_MISSED: Final = 2048
"""Messages that are replayed to a session (docs/protocol.md#6-losing-the-connection): what eight others may
send it in the minute for which they are kept. The mailbox keeps one more, which tells "just as many" from
"more"."""

MAX_MISSED_BYTES: Final = 16 * 1024 * 1024
"""Bytes of them: 256 messages of the greatest length. A gateway holds so much for a client at most."""
