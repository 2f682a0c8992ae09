"""What a scenario waits for: that the client, or its driver, says something."""

import asyncio
from collections.abc import Callable
from contextlib import suppress


class News:
    """Told of all that is said in a scenario. Whoever waits looks again then, and not before."""

    def __init__(self) -> None:
        self._told = asyncio.Event()

    def tell(self) -> None:
        """Have all who wait look again."""
        self._told.set()
        self._told = asyncio.Event()

    async def until(self, is_so: Callable[[], bool], patience_s: float) -> bool:
        """Wait until this is true; False: it is not in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not is_so():
                    await self._told.wait()
                return True
        return is_so()
