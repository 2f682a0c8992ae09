"""What waits on all connections together: the heaviest pay, the light ones never."""

from gateway.client.waiting import CLOSED_AT_ONCE, LIGHT_BYTES, RECOUNTED_AT_ONCE, RELIEF, Held, Waiting

MOST = 40 * LIGHT_BYTES


class One:
    """A connection on which bytes wait."""

    def __init__(self, waiting: Waiting) -> None:
        self.unsent = 0
        self.is_closed = False
        self.received = 0
        self.recounts = 0
        self.held = Held(waiting, self._count, self._give_up)

    def _count(self) -> int:
        self.recounts += 1
        return self.unsent

    def take(self, size: int) -> None:
        """Receive so much, which waits."""
        self.received += size
        self.held.change(size)

    def send(self, size: int) -> None:
        """Send so much, which is not read."""
        self.unsent += size
        self.held.note_unsent()

    def _give_up(self) -> None:
        self.is_closed = True
        self.held.change(-self.received)
        self.received = self.unsent = 0
        self.held.note_gone()


def test_the_sum_is_what_all_have() -> None:
    waiting = Waiting(MOST)
    one, other = One(waiting), One(waiting)

    one.take(100)
    other.take(LIGHT_BYTES + 1)
    other.send(50)
    assert (waiting.bytes_in, waiting.bytes_out) == (LIGHT_BYTES + 101, 50)

    other.unsent = 0
    other.held.note_unsent()
    one.take(-100)
    other.take(-LIGHT_BYTES - 1)
    assert (waiting.bytes_in, waiting.bytes_out) == (0, 0)


def test_the_heaviest_are_closed_until_there_is_room() -> None:
    waiting = Waiting(MOST)
    everybody = [One(waiting) for _ in range(12)]
    for number, one in enumerate(everybody):
        one.send((number + 1) * LIGHT_BYTES // 2)
    assert not any(one.is_closed for one in everybody)

    everybody[-1].send(2 * LIGHT_BYTES)

    assert [one.is_closed for one in everybody] == [False] * 11 + [True]
    assert waiting.bytes_in + waiting.bytes_out <= RELIEF * MOST


def test_bytes_in_and_out_are_weighed_together() -> None:
    waiting = Waiting(10 * LIGHT_BYTES)
    one, other = One(waiting), One(waiting)
    one.send(4 * LIGHT_BYTES)
    other.take(3 * LIGHT_BYTES)
    other.send(2 * LIGHT_BYTES)

    one.take(LIGHT_BYTES // 2)
    assert not other.is_closed
    other.take(LIGHT_BYTES)

    assert (one.is_closed, other.is_closed) == (False, True)


def test_the_light_ones_are_never_closed() -> None:
    waiting = Waiting(MOST)
    everybody = [One(waiting) for _ in range(100)]
    for one in everybody:
        one.take(LIGHT_BYTES)
    assert not any(one.is_closed for one in everybody)

    everybody[3].take(1)

    assert [one for one in everybody if one.is_closed] == [everybody[3]]


def test_who_has_read_meanwhile_is_not_closed() -> None:
    waiting = Waiting(MOST)
    one, other = One(waiting), One(waiting)
    one.send(30 * LIGHT_BYTES)
    one.unsent = 0

    other.send(20 * LIGHT_BYTES)

    assert not one.is_closed
    assert not other.is_closed
    assert waiting.bytes_out == 20 * LIGHT_BYTES


def test_from_half_of_it_on_the_sum_is_high() -> None:
    waiting = Waiting(MOST)
    one = One(waiting)
    one.take(MOST // 2)
    assert not one.held.is_high

    one.take(1)

    assert one.held.is_high


def test_however_many_are_heavy_a_change_recounts_some() -> None:
    waiting = Waiting(1000 * LIGHT_BYTES)
    everybody = [One(waiting) for _ in range(500)]
    for one in everybody:
        one.send(2 * LIGHT_BYTES)
        one.unsent -= LIGHT_BYTES // 2  # read meanwhile: the sum is late
    counted = sum(one.recounts for one in everybody)

    for number in range(1, 201):
        everybody[number].take(LIGHT_BYTES)
        now = sum(one.recounts for one in everybody)
        assert now - counted <= RECOUNTED_AT_ONCE
        counted = now

    assert not any(one.is_closed for one in everybody)
    assert waiting.bytes_in + waiting.bytes_out <= 1000 * LIGHT_BYTES


def test_however_many_are_heavy_a_change_closes_a_few() -> None:
    waiting = Waiting(1000 * LIGHT_BYTES)
    everybody = [One(waiting) for _ in range(500)]
    for one in everybody:
        one.take(2 * LIGHT_BYTES)
    closed = 0

    for _ in range(1000):
        one = next(one for one in everybody if not one.is_closed)
        one.take(64)
        now = sum(one.is_closed for one in everybody)
        assert now - closed <= CLOSED_AT_ONCE
        closed = now

    assert closed
    assert waiting.bytes_in <= 1000 * LIGHT_BYTES


def test_all_are_recounted_before_any_is_closed() -> None:
    waiting = Waiting(1000 * LIGHT_BYTES)
    everybody = [One(waiting) for _ in range(500)]
    for one in everybody:
        one.send(2 * LIGHT_BYTES)
    everybody[0].unsent = 0  # the last one that would be asked

    for _ in range(500 // RECOUNTED_AT_ONCE + 1):
        everybody[-1].take(1)

    assert not any(one.is_closed for one in everybody)
    assert everybody[0].held.bytes_of() == 0


def test_what_waits_on_light_ones_closes_a_heavy_one() -> None:
    waiting = Waiting(MOST)
    heavy, *light = [One(waiting) for _ in range(40)]
    heavy.take(2 * LIGHT_BYTES)

    for one in light:
        one.take(LIGHT_BYTES)

    assert heavy.is_closed
    assert not any(one.is_closed for one in light)


def test_who_has_gone_before_its_turn_is_not_recounted() -> None:
    waiting = Waiting(1000 * LIGHT_BYTES)
    everybody = [One(waiting) for _ in range(500)]
    for one in everybody:
        one.send(2 * LIGHT_BYTES)
    gone, recounts = everybody[0], everybody[0].recounts

    everybody[-1].take(1)
    gone.held.note_gone()
    for _ in range(20):
        everybody[-1].take(2 * LIGHT_BYTES)

    assert gone.recounts == recounts
    assert gone.held.bytes_of() == 0
