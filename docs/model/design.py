"""How the system is built: the choices that the model can make otherwise. Pure."""

from typing import Final, Literal, NamedTuple


class Design(NamedTuple):
    """The defaults are the design, on a broker that does everything at one moment: an ideal."""

    pushed_by: Literal["publisher", "store"] = "publisher"
    """Who hands a frame to the gateways that listen: its publisher, while the stream only listens, too; or
    the stream, in its own order, and each frame once (JetStream's republish)."""
    stored: Literal["at once", "later"] = "at once"
    """When a frame that its publisher pushes is in the stream."""
    lines: Literal["one", "one a publisher"] = "one"
    """Whether frames of different publishers may overtake each other on their way to a gateway."""
    listening: Literal["at once", "later"] = "at once"
    """When a subscription counts: on another node of the broker, some time after it is confirmed."""
    reads: Literal["after listening", "before listening", "after its own marker", "when all is stored"] = (
        "after listening"
    )
    """When the gateway of a client that came back reads the mailbox. Its marker is a message that it puts
    into the stream and awaits on its own subscription: then that counts. When all is stored, nobody knows."""
    remembers_known: bool = True
    """The new gateway remembers what came before `last`."""
    acks: Literal["when stored", "when judged"] = "when stored"
    """When a router answers."""
    writes: Literal["compare and set", "blind holds"] = "compare and set"
    """How presence writes a pair that holds one more candidate."""
    tells: Literal["again when retried", "once written"] = "again when retried"
    """When presence tells routers to drop their leases after a hangup; it may die after the write."""
    brings_earlier: bool = True
    """What a sender says brings along its candidates that an answer released before."""
    keeps_released: bool = True
    """What an answer released stays in the record, for its retry and for those who bring it along."""


DESIGN: Final = Design()

REPUBLISHED: Final = Design(pushed_by="store")
"""Pushed by the stream, on a broker of one node."""

REPUBLISHED_BY_THREE: Final = Design(pushed_by="store", listening="later", reads="after its own marker")
"""Pushed by the stream's leader, which hears of a subscription later than the node that confirms it."""
