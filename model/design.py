"""How the system is built: the choices that the model can make otherwise. Pure."""

from typing import Final, Literal, NamedTuple


class Design(NamedTuple):
    """The defaults are what is built, on a broker of three nodes."""

    listening: Literal["at once", "later"] = "later"
    """When a subscription counts: on one node at once; else some time after it is confirmed, for the node
    that confirms it is not the one that leads the stream and pushes."""
    reads: Literal["after its own barrier", "after listening", "before listening", "from any replica"] = (
        "after its own barrier"
    )
    """When the gateway of a client that came back reads the mailbox. Its barrier is a message that it sends
    through the stream to itself: when that is back, the subscription counts. It reads until the barrier is
    among what it reads, so that a replica lags behind no further; unless it believes any replica."""
    drops_overlap: bool = True
    """The new gateway drops what is pushed if it has read it."""
    pushed_by: Literal["stream", "publisher"] = "stream"
    """What hands a frame to the gateways that listen: the stream, in its own order, and each frame once; or
    its publisher, while the stream is only another listener."""
    publishes: Literal["one after the other", "all at once"] = "one after the other"
    """Whether a router waits until a frame is stored before it publishes the next of the same verdict."""
    acks: Literal["when stored", "when judged"] = "when stored"
    """When a router answers."""
    writes: Literal["compare and set", "blind holds"] = "compare and set"
    """How presence writes a pair that holds one more candidate."""
    remembers: Literal["for writes", "also for refusals", "also for deliveries"] = "for writes"
    """For what a presence may judge by a pair as any process once had it, or a replica still has: for what it
    then writes, which finds out; or also to refuse; or also to have something delivered."""
    tells: Literal["again when retried", "once written"] = "again when retried"
    """When presence tells routers to drop their grants after a hangup; it may die after the write."""
    spoils_questions: bool = True
    """What presence was asked before it told routers to drop their grants yields none."""
    repeats_released: bool = True
    """What a sender says is preceded by its candidates that an answer released before."""
    keeps_released: Literal["always", "while it lasts", "never"] = "always"
    """How long the record keeps what an answer released, for its retry and for the messages that it precedes:
    beyond the end of the negotiation, or only up to it."""
    names_calls: bool = True
    """Messages say which call they are about, and presence looks at it."""
    repeats: Literal["always", "while it lasts"] = "always"
    """Until when a retried frame is delivered again: after the end of its negotiation, too?"""


THREE_NODES: Final = Design()
"""What is built. A subscription that counts at once is among what may happen, so one node is included."""

ONE_NODE: Final = Design(listening="at once")
