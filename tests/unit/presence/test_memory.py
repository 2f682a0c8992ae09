"""What a process keeps of users and pairs: bounded, and never older than what its watch has told."""

from presence.memory import OVERHEAD, SILENCE_S, TIMES, Memory
from presence.rules.negotiated import NOTHING
from presence.rules.user import User
from presence.store import Dated, Record
from tests.unit.presence.rules.people import online
from tieline.wire.ids import SessionId
from tieline.wire.partitions import Partitions

OLD, NEW, NEWEST = (Record(f"{number}".encode(), number) for number in (5, 7, 9))
KEY, OTHER = "user.alice", "user.bob"


class Time:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def watching(as_of: int = 0, most_recent: int = 100) -> tuple[Memory, Time]:
    """A memory whose watch tells of everything after a revision."""
    time = Time()
    memory = Memory(time, most_recent=most_recent)
    memory.prepare_watch()
    memory.begin_watch(as_of)
    return memory, time


# Pairs.


def test_a_pair_is_kept_as_it_was_written_last() -> None:
    memory = Memory()
    for record in (OLD, NEW):
        memory.keep_pair("pair.a.b", record, NOTHING)
    assert memory.pair("pair.a.b") is NEW
    assert memory.decoded_pair("pair.a.b", NEW) is NOTHING
    assert memory.decoded_pair("pair.a.b", OLD) is None
    assert memory.decoded_pair("pair.a.c", NEW) is None
    memory.forget_pair("pair.a.b")
    memory.forget_pair("pair.a.c")
    assert memory.pair("pair.a.b") is None
    assert (len(memory), memory.bytes) == (0, 0)


def test_a_pair_that_goes_by_itself_is_forgotten_in_time() -> None:
    time = Time()
    memory = Memory(time)
    memory.keep_pair("pair.a.b", NEW, NOTHING, for_s=10.0)
    time.now += 9.9
    assert memory.pair("pair.a.b") is NEW
    time.now += 0.1
    assert memory.pair("pair.a.b") is None


def test_those_that_nobody_has_asked_for_longest_go_first() -> None:
    memory = Memory(most=2)
    memory.keep_pair("a", OLD)
    memory.keep_pair("b", OLD)
    assert memory.pair("a") is OLD
    memory.keep_pair("c", OLD)
    assert [memory.pair(key) for key in "abc"] == [OLD, None, OLD]
    assert len(memory) == 2


def test_what_is_kept_is_bounded_by_its_bytes() -> None:
    large = Record(b"x" * 1000, 1)
    one = TIMES * 1000 + OVERHEAD
    memory = Memory(most_bytes=2 * one)
    for key in "abc":
        memory.keep_pair(key, large)
    assert [memory.pair(key) is None for key in "abc"] == [True, False, False]
    assert memory.bytes == 2 * one


# Users.


def test_users_are_kept_only_while_they_are_watched() -> None:
    memory, time = watching()
    memory.keep_user(KEY, OLD, 5)
    assert memory.users((KEY,)) == {KEY: OLD}
    assert memory.users((KEY, OTHER)) is None
    time.now += SILENCE_S
    assert memory.users((KEY,)) is None
    memory.heard()
    assert memory.users((KEY,)) == {KEY: OLD}
    memory.end_watch()
    memory.heard()
    assert memory.users((KEY,)) is None
    memory.keep_user(KEY, OLD, 5)
    memory.prepare_watch()
    memory.begin_watch(5)
    assert memory.users((KEY,)) is None


def test_some_of_several_users_may_be_known() -> None:
    memory, _ = watching()
    memory.keep_user(KEY, NEW, as_of=7)
    assert memory.known_users((KEY, OTHER)) == {KEY: NEW}
    assert memory.users((KEY, OTHER)) is None
    memory.end_watch()
    assert memory.known_users((KEY, OTHER)) == {}


def test_a_user_who_is_kept_is_what_the_watch_tells() -> None:
    memory, _ = watching()
    memory.keep_user(KEY, OLD, 5)
    memory.changed(KEY, NEW)
    memory.changed(OTHER, NEWEST)
    assert memory.users((KEY,)) == {KEY: NEW}
    assert memory.users((OTHER,)) is None  # nobody here has asked for it


def test_what_the_watch_tells_late_is_not_newer_than_what_was_written() -> None:
    memory, _ = watching()
    memory.keep_user(KEY, NEW, 7)
    memory.changed(KEY, OLD)
    assert memory.users((KEY,)) == {KEY: NEW}


def test_an_answer_that_the_watch_has_overtaken_is_not_kept() -> None:
    memory, _ = watching()
    memory.changed(KEY, NEW)
    memory.keep_user(KEY, OLD, 6)
    assert memory.users((KEY,)) is None
    memory.keep_user(KEY, NEW, 7)
    assert memory.users((KEY,)) == {KEY: NEW}


def test_an_answer_older_than_the_watch_is_not_kept() -> None:
    memory, _ = watching(as_of=6)
    memory.keep_user(KEY, OLD, 5)
    assert memory.users((KEY,)) is None


def test_what_comes_before_the_watch_is_said_to_have_begun_counts() -> None:
    memory = Memory()
    memory.prepare_watch()
    memory.changed(KEY, NEW)
    memory.begin_watch(4)
    memory.keep_user(KEY, OLD, 5)
    assert memory.users((KEY,)) is None


def test_older_answers_are_not_kept_when_changes_are_forgotten() -> None:
    memory, _ = watching(most_recent=1)
    memory.changed(KEY, NEW)
    memory.changed(OTHER, NEWEST)
    memory.keep_user(KEY, OLD, 6)
    assert memory.users((KEY,)) is None
    memory.keep_user(KEY, NEW, 7)
    assert memory.users((KEY,)) == {KEY: NEW}


def test_of_what_was_read_those_are_kept_that_are_there() -> None:
    memory, _ = watching()
    memory.keep_users(Dated({KEY: OLD}, 6), (KEY, OTHER))
    memory.keep_users(Dated({OTHER: OLD}, 0), (OTHER,))  # who answered does not say how new it is
    assert memory.users((KEY,)) == {KEY: OLD}
    assert memory.users((OTHER,)) == {OTHER: OLD}


def test_a_user_is_decoded_once() -> None:
    memory, _ = watching()
    decoded: list[User | None] = []

    def decode() -> User:
        decoded.append(online(SessionId("s")))
        return online(SessionId("s"))

    memory.decoded_user(KEY, OLD, decode)
    memory.keep_user(KEY, OLD, 5)
    for _ in range(3):
        assert memory.decoded_user(KEY, OLD, decode) == online(SessionId("s"))
    assert len(decoded) == 2
    memory.decoded_user(KEY, Record(*OLD), decode)
    assert len(decoded) == 3


def test_nothing_is_known_without_the_broker() -> None:
    memory, _ = watching()
    memory.keep_user(KEY, OLD, 5)
    memory.keep_pair("pair.a.b", OLD)
    memory.forget_all()
    assert (len(memory), memory.pair("pair.a.b"), memory.users((KEY,))) == (0, None, None)


# In partitions.


def test_each_partition_is_known_by_a_watch_of_its_own() -> None:
    places, time = Partitions(4), Time()
    memory = Memory(time, partitions=places)
    here, there = places.of_key(KEY), places.of_key(OTHER)
    assert here is not None
    assert there is not None
    assert here != there
    for at in (here, there):
        memory.prepare_watch(at)
        memory.begin_watch(0, at)
    memory.keep_users(Dated({KEY: OLD, OTHER: NEW}, 0, {KEY: 5, OTHER: 7}), [KEY, OTHER])
    assert memory.users([KEY, OTHER]) == {KEY: OLD, OTHER: NEW}
    assert not memory.knows_users

    memory.changed(KEY, NEWEST, here)
    memory.end_watch(there)

    assert memory.known_users([KEY, OTHER]) == {KEY: NEWEST}
    assert memory.users([KEY, OTHER]) is None
    memory.forget_all()
    assert len(memory) == memory.bytes == 0
