"""What of a session's mail is replayed, and what is left out of too much."""

import functools

from hypothesis import given
from hypothesis import strategies as st

from gateway.client.duplicates import name_of
from gateway.client.mail import mail
from gateway.delivery.replay import Replay
from tests.unit.gateway.client.harness import event
from tests.unit.wire import samples
from tieline.runtime.message import block


def sent_by(sender: str, request_id: str, size: int = 0) -> bytes:
    """A frame of one sender."""
    message = samples.signal_message("WEBRTC_OFFER") | {"requestId": request_id}
    message["data"] |= {"from": sender, "data": "x" * size}
    return samples.frame(message)


def read(
    *frames: bytes,
    last: str = "",
    has_had: int = 0,
    lost_at: int = 0,
    messages: int = 100,
    size: int = 1_000_000,
) -> Replay:
    """What is chosen of frames that are read one after the other, and numbered 1, 3, 5 and so on.

    Each was stored at the time that is its number.
    """
    replay = Replay(last, has_had, lost_at, messages, size)
    for index, frame in enumerate(frames):
        number = 2 * index + 1
        replay.add(frame, number, functools.partial(int, number))
    return replay


def test_all_of_it_is_replayed_in_its_order() -> None:
    frames = [sent_by("bob", "1"), event("2"), sent_by("carol", "3"), b"{}", b"", b"[]"]
    replay = read(*frames)
    assert (replay.known, replay.fresh, replay.left_out.total()) == ([], frames, 0)


def test_what_came_up_to_the_last_message_is_known_by_name() -> None:
    frames = [sent_by("bob", "1"), event("2"), sent_by("bob", "3")]
    replay = read(*frames, last="2")
    assert (replay.known, replay.fresh) == ([name_of(frame) for frame in frames[:2]], frames[2:])


def test_of_several_last_messages_the_oldest_counts() -> None:
    frames = [event("0"), sent_by("bob", "1"), sent_by("ann", "3"), sent_by("carol", "1"), event("2")]
    replay = read(*frames, last="1")
    assert (replay.known, replay.fresh) == ([name_of(frame) for frame in frames[:2]], frames[2:])
    assert (replay.position, replay.numbers) == (3, (5, 7, 9))


def test_a_flood_before_the_oldest_last_message_displaces_nothing() -> None:
    flood = [sent_by("eve", f"e-{number}", 1000) for number in range(10)]
    frames = [*flood, sent_by("bob", "1"), sent_by("ann", "2"), sent_by("bob", "1", 1)]
    replay = read(*frames, last="1", messages=3)
    assert (replay.fresh, replay.left_out.total()) == (frames[11:], 0)


def test_a_replay_has_numbers_and_a_position_before_it() -> None:
    frames = [sent_by("bob", "1"), event("2"), sent_by("bob", "3"), event("4")]
    assert (read(*frames).numbers, read(*frames).position) == ((1, 3, 5, 7), None)
    assert (read(*frames, last="2").numbers, read(*frames, last="2").position) == ((5, 7), 3)
    assert read(*frames, last="2", messages=1).numbers == (7,)


def test_a_client_may_have_had_something_last_that_is_no_mail() -> None:
    frames = [sent_by("bob", "1"), event("2"), sent_by("bob", "3")]
    replay = read(*frames, last="room-4", has_had=4)
    assert (replay.known, replay.fresh) == ([name_of(frame) for frame in frames[:2]], frames[2:])
    assert (replay.position, replay.left_out.total()) == (4, 0)


def test_what_the_client_has_had_displaces_nothing() -> None:
    flood = [sent_by("eve", f"e-{number}", 1000) for number in range(10)]
    frames = [*flood, sent_by("bob", "1"), sent_by("bob", "2")]
    assert read(*frames, last="room-20", has_had=20, messages=2).fresh == frames[10:]


def test_a_message_called_like_an_older_change_hides_nothing() -> None:
    frames = [sent_by("bob", "1"), event("2"), sent_by("eve", "room-2"), event("3")]
    replay = read(*frames, last="room-2", has_had=2)
    assert (replay.fresh, replay.position) == (frames[1:], 2)


def test_beside_a_number_of_the_server_s_no_name_is_looked_for() -> None:
    frames = [event("1"), event("2"), event("3"), sent_by("eve", "room-2")]
    replay = read(*frames, last="room-2", has_had=2)
    assert (replay.known, replay.fresh) == ([name_of(frames[0])], frames[1:])
    assert replay.position == 2


def test_what_was_stored_after_the_loss_is_not_what_the_client_had() -> None:
    frames = [event("1"), sent_by("eve", "old"), event("2"), sent_by("eve", "old", 1), event("3")]
    replay = read(*frames, last="old", lost_at=2)
    assert (replay.known, replay.fresh, replay.position) == ([], frames, None)


def test_of_several_last_messages_one_from_before_the_loss_counts() -> None:
    frames = [event("1"), sent_by("eve", "old"), event("2"), sent_by("eve", "old", 1), event("3")]
    for lost_at in (0, 3, 4, 100):
        replay = read(*frames, last="old", lost_at=lost_at)
        assert (replay.fresh, replay.position) == (frames[2:], 3)


def test_of_too_many_bytes_the_oldest_of_the_heaviest_sender_go() -> None:
    flood = [sent_by("eve", f"e-{number}", 1000) for number in range(10)]
    honest = [sent_by("bob", f"b-{number}") for number in range(10)]
    frames = [frame for both in zip(flood, honest, strict=True) for frame in both]

    replay = read(*frames, size=8000)

    assert replay.left_out == {"eve": 10 - len([frame for frame in replay.fresh if frame in flood])}
    assert replay.fresh == [frame for frame in frames if frame in honest or frame in replay.fresh]
    assert [frame for frame in replay.fresh if frame in flood] == flood[replay.left_out["eve"] :]
    assert 7000 - 300 < sum(map(len, replay.fresh)) <= 8000


def test_of_too_many_messages_the_oldest_of_who_sent_most_go() -> None:
    flood = [sent_by("eve", f"e-{number}") for number in range(10)]
    honest = [sent_by("bob", f"b-{number}", 1000) for number in range(5)]

    replay = read(*honest, *flood, messages=12)

    assert replay.fresh == [*honest, *flood[3:]]
    assert replay.left_out == {"eve": 3}


def test_what_is_left_out_before_the_last_message_is_nothing_missed() -> None:
    flood = [sent_by("eve", f"e-{number}", 1000) for number in range(10)]
    assert read(*flood, size=3000).left_out["eve"] > 0
    assert read(*flood, last="e-9", size=3000).left_out.total() == 0


def test_a_single_message_that_is_too_much_is_left_out() -> None:
    replay = read(sent_by("eve", "1", 5000), sent_by("bob", "2"), size=1000)
    assert (len(replay.fresh), replay.left_out) == (1, {"eve": 1})


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 300)), max_size=40),
    st.integers(0, 20),
    st.integers(0, 4000),
)
def test_each_sender_s_newest_are_kept_within_the_bounds(
    sent: list[tuple[str, int]], messages: int, size: int
) -> None:
    frames = [(sender, sent_by(sender, f"{number}", length)) for number, (sender, length) in enumerate(sent)]

    replay = read(*(frame for _, frame in frames), messages=messages, size=size)

    fresh = replay.fresh
    assert len(fresh) <= messages
    assert sum(map(len, fresh)) <= size
    assert fresh == [frame for _, frame in frames if frame in fresh]
    senders = {sender for sender, _ in frames}
    for sender in senders:
        own = [frame for whose, frame in frames if whose == sender]
        kept = [frame for frame in fresh if frame in own]
        assert kept == own[len(own) - len(kept) :]
        assert replay.left_out[sender] == len(own) - len(kept)


@given(st.lists(st.sampled_from(["1", "2", "3", "room-4", "room-9"]), min_size=1, max_size=12), st.data())
def test_whatever_senders_call_their_messages_none_is_skipped(names: list[str], data: st.DataObject) -> None:
    frames = [sent_by("bob", name, number) for number, name in enumerate(names)]
    had = data.draw(st.integers(1, len(frames)))
    missed = frames[had:]
    lost_at = data.draw(st.integers(2 * had - 1, 2 * had))

    by_id = read(*frames, last=names[had - 1])
    by_loss = read(*frames, last=names[had - 1], lost_at=lost_at)
    by_place = read(*frames, last=names[had - 1], has_had=2 * had - 1)

    assert by_place.fresh == missed
    for replay in (by_id, by_loss):
        assert replay.fresh[len(replay.fresh) - len(missed) :] == missed
        assert not set(replay.known) & {name_of(frame) for frame in missed}


@given(st.lists(st.sampled_from(["1", "2", "3"]), min_size=1, max_size=12), st.data())
def test_nothing_is_skipped_when_what_the_client_had_is_kept_no_more(
    names: list[str], data: st.DataObject
) -> None:
    frames = [sent_by("bob", name, number) for number, name in enumerate(names)]
    had = data.draw(st.integers(1, len(frames)))
    kept = data.draw(st.integers(had, len(frames)))
    replay = Replay(names[had - 1], lost_at=2 * had)
    for index in range(kept, len(frames)):
        replay.add(frames[index], 2 * index + 1, functools.partial(int, 2 * index + 1))

    assert (replay.known, replay.fresh, replay.position) == ([], frames[kept:], None)


def stored(cmd: str, name: str, of: str) -> bytes:
    frame = samples.frame(samples.signal_message(cmd) | {"requestId": name})
    return mail(frame, block({"Tieline-Call": of}))


def test_an_end_that_is_left_out_is_known_all_the_same() -> None:
    call = "0123456789abcdef"
    frames = [stored("WEBRTC_HANGUP", "1", call), sent_by("alice", "2"), sent_by("alice", "3")]
    assert list(read(*frames, messages=2).over) == [call]


def test_it_is_known_of_which_calls_the_client_has_had_the_end() -> None:
    call, other = "0123456789abcdef", "fedcba9876543210"
    frames = [
        stored("WEBRTC_HANGUP", "1", call),
        stored("WEBRTC_OFFER", "2", other),
        stored("WEBRTC_HANGUP", "3", other),
    ]
    assert list(read(*frames).over) == []
    assert list(read(*frames, last="2").over) == [call]
    assert list(read(*frames, has_had=3).over) == [call]
    assert list(read(*frames, last="3").over) == [call, other]
