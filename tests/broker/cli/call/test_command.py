"""`tieline call` as a process: what it says as it ends."""

import asyncio
import sys

from tests.unit.client.minimal_gateway import MinimalGateway, serving

BOT = ("--answer", "--room", "r", "--token", "bot")


async def test_a_bot_that_may_not_join_the_room_says_so() -> None:
    board = MinimalGateway()
    board.forbidden.add("r")
    async with serving(board.handle) as gateway:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tieline.cli", "call", "--url", gateway, *BOT),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
    assert process.returncode == 1
    assert "ROOM_FORBIDDEN" in said.decode()
