"""Pairs of users in a call, as the relay and the open loop need them."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Final

from tieline.load.client import LoadClient, Target, arrive, within_timeout
from tieline.load.messages import answers, offers
from tieline.load.side_by_side import side_by_side

SET_UPS_AT_ONCE: Final = 16
"""While pairs are made: quick, and not a load that would be counted in the measurement that follows."""


async def make_pairs(
    target: Target, count: int, told: Callable[[int], None] = lambda _count: None
) -> list[tuple[LoadClient, LoadClient]]:
    """Connect `count` pairs of new users, and establish a call between the two of each.

    `told` hears how many are ready.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: one could not be made.
    """
    name = new_name()
    slots = asyncio.Semaphore(SET_UPS_AT_ONCE)
    ready = 0

    async def make(number: int) -> tuple[LoadClient, LoadClient]:
        nonlocal ready
        async with slots:
            pair = await make_pair(target, f"{name}_{number}", number)
        ready += 1
        told(ready)
        return pair

    return await side_by_side(make(number) for number in range(count))


def new_name() -> str:
    """Make a name that no user of another run has."""
    return f"load_{uuid.uuid4().hex[:8]}"


async def make_pair(target: Target, name: str, number: int) -> tuple[LoadClient, LoadClient]:
    """Connect two users, and establish a call between them; the n-th pair, which says on which gateways.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: it could not be made.
    """
    sender_url, receiver_url = target.of_pair(number)
    sender = await arrive(target, f"{name}_a", sender_url, acks=target.acks)
    if target.echoes:
        return sender, sender
    receiver = await arrive(target, f"{name}_b", receiver_url)
    if target.secret is not None:
        await sender.ask("JOIN", name)
        joined = sender.notice("MEMBER_JOINED")
        await receiver.ask("JOIN", name)
        await within_timeout(joined, f"MEMBER_JOINED at {sender.user}")
    offer = offers(sender.user, receiver.user).write(0)
    answer = answers(receiver.user, sender.user).write(0)
    receiver.expect(offer)
    sender.expect(answer)
    sender.connection.send(offer)
    await receiver.until_arrived(1, sender)
    receiver.connection.send(answer)
    await sender.until_arrived(1, receiver)
    return sender, receiver
