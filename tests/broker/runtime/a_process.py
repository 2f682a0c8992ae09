"""A process that does nothing but start and stop: run by the tests of `tieline.runtime.process`."""

import asyncio
import logging

from tieline.runtime.process import run, unless_stopped
from tieline.runtime.settings import ProcessSettings, SigningSecret

MANY_LINES = 20_000


class Settings(ProcessSettings, frozen=True, kw_only=True):
    """What this process needs to know."""

    jwt_secret: str
    turn_secret: SigningSecret = ""


async def main(settings: Settings, stopping: asyncio.Event) -> None:
    """Say what was read, and wait; in the namespace "stubborn", wait on for ever.

    In the namespace "chatty" it logs far more than a pipe holds, and in "crashing" it fails. In the namespace
    "early", what it needs to begin never comes.
    """
    log = logging.getLogger("a_process")
    log.info(
        "starts", extra={"namespace": settings.namespace, "loop": type(asyncio.get_running_loop()).__module__}
    )
    if settings.namespace == "chatty":
        for number in range(MANY_LINES):
            log.info("a line", extra={"number": number})
        print("all said", flush=True)
    if settings.namespace == "crashing":
        raise LookupError("a bug of ours")
    if settings.namespace == "early":
        await unless_stopped(stopping, _nothing_ever())
    await stopping.wait()
    log.info("stops")
    if settings.namespace == "stubborn":
        await asyncio.Event().wait()


async def _nothing_ever() -> None:
    await asyncio.Event().wait()


if __name__ == "__main__":
    run("sample", Settings, main)
