"""Numbers that rooms are awaited to reach: what is stored just now has to be pushed to this gateway first."""

import asyncio
from typing import Final

from gateway.rooms.live_room import LiveRoom

NUMBER_S: Final = 2.0
"""For a change that is stored to be pushed to this gateway; it takes a millisecond."""


class Awaited:
    """Who waits for which room."""

    def __init__(self) -> None:
        self.numbers: dict[LiveRoom, list[tuple[int, asyncio.Future[None]]]] = {}
        """The numbers that are awaited, each with what goes on then."""

    def advanced(self, room: LiveRoom) -> None:
        """Let those go on who wait for what a room has reached."""
        for number, arrived in self.numbers[room]:
            if number <= room.log.number and not arrived.done():
                arrived.set_result(None)

    async def reach(self, room: LiveRoom, number: int) -> None:
        """Return when a room has everything up to a number, which is stored.

        Raises:
            TimeoutError: it has not come after `NUMBER_S`.
        """
        if room.is_whole and number <= max(room.log.number, room.whole_to):
            return
        arrived = asyncio.get_running_loop().create_future()
        waiting = self.numbers.setdefault(room, [])
        waiting.append((number, arrived))
        try:
            async with asyncio.timeout(NUMBER_S):
                await arrived
        finally:
            waiting.remove((number, arrived))
            if not waiting:
                self.numbers.pop(room, None)
