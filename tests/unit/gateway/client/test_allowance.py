"""When the next frame may be taken, and what is called when a wait is over."""

from gateway.client.allowance import LEAST_WAIT_S, LOOK_UP_S, TAKE, TOO_LONG, WAIT, Allowance, Verdict
from tests.unit.gateway.client.clock import Clock


class Budget:
    """What a user may ask for, as a test says."""

    def __init__(self) -> None:
        self.charged: list[float] = []
        self.waits_s = 0.0
        self.is_flood = False

    def charge(self, price: float, _now: float) -> None:
        self.charged.append(price)

    def wait_s(self, _now: float) -> float:
        return self.waits_s

    def has_gone_on(self, _now: float) -> bool:
        return self.is_flood

    def let_up(self, _now: float) -> None:
        self.is_flood = False


class Scene:
    """An allowance, its budget and its time."""

    def __init__(self) -> None:
        self.clock, self.budget = Clock(), Budget()
        self.calls = 0
        self.allowance = Allowance(self.budget, self.clock.loop, self.clock.time)

    def ask(self, price: float) -> Verdict:
        return self.allowance.ask(price, self._called)

    def _called(self) -> None:
        assert not self.allowance.is_waiting
        self.calls += 1


def test_what_may_be_taken_is_charged() -> None:
    scene = Scene()
    assert scene.allowance.may_take_message()
    assert scene.ask(7.0) is TAKE
    assert scene.budget.charged == [1.0, 7.0]


def test_a_frame_over_the_limit_waits_until_it_is_called_back() -> None:
    scene = Scene()
    scene.budget.waits_s = 0.5
    assert not scene.allowance.may_take_message()
    assert scene.ask(1.0) is WAIT
    assert scene.allowance.is_waiting
    scene.clock.advance(0.4)
    assert scene.calls == 0
    scene.clock.advance(0.1)
    assert scene.calls == 1
    scene.budget.waits_s = 0.0
    assert scene.ask(1.0) is TAKE
    assert scene.budget.charged == [1.0]


def test_it_is_called_back_in_time_to_look_and_not_at_once() -> None:
    for waits_s, called_s in ((60.0, LOOK_UP_S), (1e-9, LEAST_WAIT_S)):
        scene = Scene()
        scene.budget.waits_s = waits_s
        assert scene.ask(1.0) is WAIT
        scene.clock.advance(called_s * 0.99)
        assert scene.calls == 0
        scene.clock.advance(called_s * 0.02)
        assert scene.calls == 1


def test_only_who_had_to_wait_can_have_gone_on_for_too_long() -> None:
    scene = Scene()
    scene.budget.is_flood = True
    assert scene.ask(1.0) is TAKE
    scene.budget.waits_s = 0.5
    assert scene.ask(1.0) is WAIT
    scene.clock.advance(0.5)
    scene.budget.waits_s = 0.0
    assert not scene.allowance.may_take_message()
    assert scene.ask(1.0) is TOO_LONG
    assert scene.budget.charged == [1.0]


def test_who_is_excused_pays_and_begins_anew() -> None:
    scene = Scene()
    scene.budget.waits_s = 0.5
    assert scene.ask(1.0) is WAIT
    scene.clock.advance(0.5)
    scene.budget.waits_s, scene.budget.is_flood = 0.0, True
    assert scene.ask(3.0) is TOO_LONG
    scene.allowance.let_up()
    scene.allowance.pay(3.0)
    assert not scene.budget.is_flood
    assert scene.budget.charged == [3.0]


def test_who_is_not_limited_any_more_neither_waits_nor_is_charged() -> None:
    scene = Scene()
    scene.budget.waits_s = 0.5
    assert scene.ask(1.0) is WAIT
    scene.allowance.lift()
    assert not scene.allowance.is_waiting
    assert scene.ask(1.0) is TAKE
    assert not scene.allowance.may_take_message()
    scene.allowance.let_up()
    scene.allowance.pay(3.0)
    scene.clock.advance(5)
    assert (scene.calls, scene.budget.charged) == (0, [])
