"""What waits for one endpoint: order, retries, deaths."""

import random

import pytest

from tieline.wire.cloud_events import StoredEvent
from tieline.wire.webhooks import Progress
from webhooks import queue as module
from webhooks.queue import AT_LEAST_MS, FIRST_MS, LONGEST_MS, SPLIT_MS, Failed, Queue, Wait

NOW = 1_700_000_000_000
HOUR_MS = 3_600_000
SAID_NO, SILENT = Failed(is_answered=True), Failed(is_answered=False)


def event(sequence: int, subject: str = "call/a", at: int = NOW, size: int = 10) -> StoredEvent:
    return StoredEvent(sequence, subject, f"id {sequence}", at, b"x" * size)


def queue(*events: StoredEvent, batch: int = 8, retry_for_ms: int = 24 * HOUR_MS) -> Queue:
    waiting = Queue(Progress(0), batch, retry_for_ms)
    for each in events:
        waiting.add(each)
    return waiting


def due(waiting: Queue, now: int = NOW) -> list[int]:
    return [each.sequence for each in events_of(waiting, now)]


def events_of(waiting: Queue, now: int = NOW) -> tuple[StoredEvent, ...]:
    chosen = waiting.due(now)
    assert not isinstance(chosen, Wait)
    return chosen


def test_what_waits_is_told_in_its_order_so_many_at_once() -> None:
    waiting = queue(*(event(number, f"call/{number % 3}") for number in range(1, 11)))
    assert due(waiting) == [1, 2, 3, 4, 5, 6, 7, 8]
    waiting.taken(events_of(waiting))
    assert due(waiting) == [9, 10]


def test_a_delivery_is_no_bigger_than_a_receiver_takes() -> None:
    waiting = queue(event(1, size=200_000), event(2, size=200_000))
    assert due(waiting) == [1]
    assert due(queue(event(1, size=900_000), event(2))) == [1]
    assert due(queue(event(1), event(2, size=262_140), event(3))) == [1]


def test_nothing_is_due_where_nothing_waits() -> None:
    assert queue().due(NOW) == Wait(None)


def test_an_endpoint_that_fails_is_tried_less_and_less_often() -> None:
    waiting, now, pauses = queue(event(1)), NOW, []
    for _ in range(9):
        assert waiting.failed(events_of(waiting, now), SILENT, now, 0.0) == []
        wait = waiting.due(now)
        assert isinstance(wait, Wait)
        assert wait.until is not None
        pauses.append(wait.until - now)
        now += 24 * LONGEST_MS
    assert pauses[:4] == [FIRST_MS, 2 * FIRST_MS, 4 * FIRST_MS, 8 * FIRST_MS]
    assert pauses[-1] == LONGEST_MS


def test_chance_spreads_attempts() -> None:
    waiting = queue(event(1))
    waiting.failed(events_of(waiting), SILENT, NOW, 1.0)
    assert waiting.due(NOW) == Wait(NOW + FIRST_MS * 5 // 4)


def test_what_a_receiver_asks_for_counts() -> None:
    waiting = queue(event(1), event(2))
    waiting.failed(events_of(waiting), Failed(is_answered=True, retry_after_ms=90_000), NOW, 0.0)
    assert waiting.due(NOW + 89_999) == Wait(NOW + 90_000)


def test_the_one_event_that_is_refused_holds_up_its_own_subject_alone() -> None:
    events = [event(number, "call/bad" if number in (3, 7) else f"call/{number}") for number in range(1, 9)]
    waiting, now, taken = queue(*events), NOW, list[int]()
    for _ in range(40):
        chosen = waiting.due(now)
        if isinstance(chosen, Wait):
            if len(waiting) == 2:
                break
            assert chosen.until is not None
            now = chosen.until
        elif any(each.subject == "call/bad" for each in chosen):
            waiting.failed(chosen, SAID_NO, now, 0.0)
        else:
            taken += [each.sequence for each in chosen]
            waiting.taken(chosen)
    assert taken == [1, 2, 4, 5, 6, 8]
    assert now - NOW < 10 * FIRST_MS
    waiting.add(event(9, "call/9"))
    assert due(waiting, now) == [9]


def test_a_subject_that_failed_is_tried_alone_and_in_order() -> None:
    waiting = queue(event(1, "call/bad"))
    waiting.failed(events_of(waiting), SAID_NO, NOW, 0.0)
    waiting.add(event(2, "call/bad"))
    waiting.add(event(3, "call/good"))
    later = NOW + FIRST_MS
    assert due(waiting, later) == [3]  # the last attempt has failed: others first
    waiting.taken(events_of(waiting, later))
    assert due(waiting, later) == [1]
    waiting.taken(events_of(waiting, later))
    assert due(waiting, later) == [2]


def test_a_delivery_that_was_refused_is_split_at_once() -> None:
    waiting = queue(*(event(number, f"call/{number}") for number in range(1, 9)))
    waiting.failed(events_of(waiting), SAID_NO, NOW, 0.0)
    assert waiting.due(NOW) == Wait(NOW + SPLIT_MS)
    assert due(waiting, NOW + SPLIT_MS) == [1, 2]


def test_an_event_dies_when_its_time_is_over_and_the_next_goes_on() -> None:
    waiting = queue(event(1), event(2, at=NOW + HOUR_MS), retry_for_ms=HOUR_MS, batch=1)
    assert waiting.failed(events_of(waiting), SAID_NO, NOW, 0.0) == []
    waiting.taken([])  # the receiver has taken others meanwhile
    late = NOW + HOUR_MS
    assert [each.sequence for each in waiting.failed(events_of(waiting, late), SAID_NO, late, 0.0)] == [1]
    assert due(waiting, late + FIRST_MS) == [2]


def test_what_was_old_before_its_first_attempt_is_tried_for_a_while() -> None:
    """No worker has run for more than a day, and the receiver stumbles when they are back."""
    old = NOW - 25 * HOUR_MS
    waiting, now, failures = queue(event(1, at=old), event(2, at=old), batch=1), NOW, 0
    while not waiting.failed(events_of(waiting, now), SAID_NO, now, 0.0):
        failures += 1
        waiting.taken([])  # others are taken
        wait = waiting.due(now)
        assert isinstance(wait, Wait)
        assert wait.until is not None
        now = wait.until
    assert failures == 10
    assert now - NOW >= AT_LEAST_MS
    waiting.taken([])
    assert due(waiting, now) == [2]  # the next one at once,
    assert len(waiting.failed(events_of(waiting, now), SAID_NO, now, 0.0)) == 1  # and once
    assert waiting.progress().failing == ()


def test_a_subject_that_is_taken_again_begins_anew() -> None:
    old = NOW - 25 * HOUR_MS
    waiting = queue(event(1, at=old), event(2, at=old), batch=1)
    waiting.failed(events_of(waiting), SAID_NO, NOW, 0.0)
    later = NOW + AT_LEAST_MS
    waiting.taken(events_of(waiting, later))
    assert waiting.failed(events_of(waiting, later), SAID_NO, later, 0.0) == []


def test_with_an_endpoint_that_takes_nothing_all_that_is_old_dies() -> None:
    waiting = queue(event(1), event(2), event(3, at=NOW + 2 * HOUR_MS), retry_for_ms=HOUR_MS)
    waiting.failed(events_of(waiting), SILENT, NOW, 0.0)
    late = NOW + HOUR_MS
    dead = waiting.failed(events_of(waiting, late), SILENT, late, 0.0)
    assert [each.sequence for each in dead] == [1, 2]
    assert len(waiting) == 1


def test_success_after_failures_brings_big_deliveries_back() -> None:
    waiting = queue(*(event(number, f"call/{number}") for number in range(1, 33)))
    waiting.failed(events_of(waiting), SILENT, NOW, 0.0)
    sizes, now = [], NOW + FIRST_MS
    while len(waiting):
        chosen = events_of(waiting, now)
        sizes.append(len(chosen))
        waiting.taken(chosen)
    assert sizes == [2, 4, 8, 8, 8, 2]


def test_another_worker_goes_on_where_one_has_got_to() -> None:
    one = queue(event(1, "call/bad"), event(2, "call/good"))
    one.failed((event(1, "call/bad"),), SAID_NO, NOW, 0.0)
    one.taken((event(2, "call/good"),))
    one.skip(5)
    progress = one.progress()
    assert (progress.read, progress.waiting) == (5, (1,))
    other = Queue(progress, 8, HOUR_MS)
    other.add(event(1, "call/bad"))
    assert other.due(NOW) == Wait(NOW + FIRST_MS)
    assert other.progress() == progress


def test_the_next_worker_tries_what_failed_with_one_event() -> None:
    one = queue(event(1), event(2))
    one.failed(events_of(one), SILENT, NOW, 0.0)
    other = Queue(one.progress(), 8, HOUR_MS)
    for number in (1, 2):
        other.add(event(number))
    assert due(other, NOW + LONGEST_MS) == [1]


def test_subjects_that_fail_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 4)
    waiting = queue(event(1, "call/bad"))
    waiting.failed(events_of(waiting), SAID_NO, NOW, 0.0)
    assert waiting.crowded_out() == []  # there is room
    for number in (2, 3, 4):
        waiting.add(event(number, "call/bad"))
    assert waiting.room == 0
    assert waiting.crowded_out() == []  # it takes nothing at all: what comes stays in the stream
    waiting.taken([])
    assert [each.sequence for each in waiting.crowded_out()] == [1]
    assert waiting.room == 1


def test_what_waits_for_its_first_attempt_is_never_crowded_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    waiting = queue(event(1, "call/bad"))
    waiting.failed(events_of(waiting), SAID_NO, NOW, 0.0)
    waiting.taken([])
    for number in (2, 3):
        waiting.add(event(number, f"call/{number}"))
    assert waiting.crowded_out() == []


def test_how_old_the_oldest_is_is_known() -> None:
    assert queue().oldest_at is None
    assert queue(event(1, at=NOW + 5), event(2, at=NOW)).oldest_at == NOW


@pytest.mark.parametrize("seed", range(20))
def test_every_subject_is_told_in_order_whatever_fails(seed: int) -> None:
    chance = random.Random(seed)
    waiting = queue(batch=chance.choice((1, 3, 10)))
    now, taken = NOW, list[StoredEvent]()
    added = 0
    while added < 60 or len(waiting):
        if added < 60 and waiting.room and chance.random() < 0.7:
            added += 1
            waiting.add(event(added, f"call/{chance.randrange(5)}", at=now))
            continue
        if chance.random() < 0.1:  # another worker goes on
            progress = waiting.progress()
            kept = {each.sequence: each for each in waiting._waiting.values()}
            waiting = Queue(progress, 3, 24 * HOUR_MS)
            for sequence in progress.waiting:
                waiting.add(kept[sequence])
        chosen = waiting.due(now)
        if isinstance(chosen, Wait):
            now = now + 1 if chosen.until is None else max(now, chosen.until)
        elif chance.random() < 0.4:
            assert waiting.failed(chosen, chance.choice((SAID_NO, SILENT)), now, chance.random()) == []
        else:
            taken += chosen
            waiting.taken(chosen)
    assert len(taken) == 60
    for subject in {each.subject for each in taken}:
        sequences = [each.sequence for each in taken if each.subject == subject]
        assert sequences == sorted(sequences)
