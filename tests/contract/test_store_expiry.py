"""What a store forgets by itself. See `test_store`."""

from presence.store import Record, Store
from tests.support.waiting import until_true


async def test_what_was_put_may_leave_nothing_behind(store: Store) -> None:
    await store.put("held.1", b"one", 1, leaves_marker=False)
    assert (await store.read("held.1"))["held.1"].value == b"one"
    await store.put("held.1", b"two", 1, leaves_marker=False)
    assert (await store.read("held.1", confirmed=True))["held.1"].value == b"two"

    async def is_gone() -> bool:
        return not await store.read("held.1") and not await store.read("held.1", confirmed=True)

    await until_true(is_gone)


async def test_what_was_put_expires_and_leaves_a_marker_to_write_over(store: Store) -> None:
    put = await store.put("timer.1", b"alive", ttl_s=1)
    assert await store.read("timer.1") == {"timer.1": Record(b"alive", put)}

    async def is_over() -> bool:
        return (await store.read("timer.1"))["timer.1"].value == b""

    await until_true(is_over)
    marker = (await store.read("timer.1"))["timer.1"]
    assert marker.revision > put
    written = await store.write("timer.1", b"again", marker.revision)
    assert await store.read("timer.1") == {"timer.1": Record(b"again", written)}


async def test_what_was_written_for_a_while_leaves_nothing_behind(store: Store) -> None:
    await store.write("a.1", b"for a while", 0, ttl_s=1)
    assert (await store.read("a.1", confirmed=True))["a.1"].value == b"for a while"

    async def is_gone() -> bool:
        return not await store.read("a.1") and not await store.read("a.1", confirmed=True)

    await until_true(is_gone)
    await store.write("a.1", b"as if it had never been", 0)


async def test_a_record_with_a_ttl_expires_unless_it_is_replaced(
    store: Store,
) -> None:
    await store.write("a.1", b"for a while", 0, ttl_s=1)
    replaced = await store.write("a.2", b"for a while", 0, ttl_s=1)
    await store.write("a.2", b"for good", replaced)

    async def is_over() -> bool:
        return not await store.read("a.1")

    await until_true(is_over)
    assert (await store.read("a.2"))["a.2"].value == b"for good"


async def test_what_was_written_for_a_while_without_waiting_expires(store: Store) -> None:
    first = await store.write("a.1", b"for good", 0)
    await store.write("a.1", b"for a while", first, ttl_s=1, confirm=False)

    async def is_over() -> bool:
        return not await store.read("a.1")

    await until_true(is_over)


async def test_putting_again_in_time_starts_the_time_anew(store: Store) -> None:
    await store.put("timer.short", b"x", ttl_s=1)
    await store.put("timer.renewed", b"x", ttl_s=1)
    await store.put("timer.renewed", b"x", ttl_s=60)

    async def is_over() -> bool:
        return (await store.read("timer.short"))["timer.short"].value == b""

    await until_true(is_over)
    assert (await store.read("timer.renewed"))["timer.renewed"].value == b"x"
