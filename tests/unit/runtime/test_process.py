"""Waiting for what a process needs to begin, unless it is told to stop. For its signals see tests/broker."""

import asyncio

import pytest

from tieline.runtime.process import Stopped, unless_stopped


async def test_what_is_needed_to_begin_is_handed_over_when_it_comes() -> None:
    async def needed() -> str:
        return "a broker"

    assert await unless_stopped(asyncio.Event(), needed()) == "a broker"


async def test_when_told_to_stop_what_is_needed_to_begin_is_given_up() -> None:
    stopping, given_up = asyncio.Event(), asyncio.Event()

    async def needed() -> None:
        stopping.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    with pytest.raises(Stopped):
        await unless_stopped(stopping, needed())
    assert given_up.is_set()


async def test_what_loses_a_cancellation_is_given_up_all_the_same() -> None:
    stopping, cancelled = asyncio.Event(), list[str]()

    async def needed() -> None:
        stopping.set()
        for which in ("lost", "heard"):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(which)
                if which == "heard":
                    raise

    with pytest.raises(Stopped):
        await unless_stopped(stopping, needed())
    assert cancelled == ["lost", "heard"]


async def test_when_what_is_needed_cannot_be_had_that_is_said() -> None:
    async def needed() -> None:
        raise ValueError("no broker can be reached at such an address")

    with pytest.raises(ExceptionGroup) as failed:
        await unless_stopped(asyncio.Event(), needed())
    assert failed.group_contains(ValueError, match="no broker")
