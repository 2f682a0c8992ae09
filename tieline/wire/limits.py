"""Numbers of the protocol that several processes must agree on.

A number that one module alone needs stands in that module, with its reason.
"""

from typing import Final

RETRY_WINDOW_S: Final = 60.0
"""How long the very same frame from the same sender is a retry (docs/protocol.md#2-envelope): presence
remembers so long what it decided, the mailbox what it stored, gateways and clients what they were sent."""

MAX_MISSED: Final = 256
"""Messages that a session may miss and still be resumed (docs/protocol.md#6-losing-the-connection). The
mailbox keeps one more, which tells "just as many" from "more"."""
