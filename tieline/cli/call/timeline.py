"""The steps of a call, each printed when it is done: one line a step, in milliseconds since the start."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tieline.cli.call.advice import explained


class StepFailed(Exception):
    """A step did not succeed; the text says which step of which participant, and why."""

    def __init__(self, who: str, what: str, why: str) -> None:
        super().__init__(f"{who} could not {what}: {why}")


class Step:
    """One step under way. Set `result` to print an outcome with it."""

    def __init__(self, who: str, what: str) -> None:
        self.who = who
        self.what = what
        self.result = ""


class Timeline:
    """The steps of some participants.

    `clock` gives seconds, `say` takes a line without its end. Exceptions of the types in `failures` mean
    that a step failed; their text says why. Any other is a bug and passes through.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        say: Callable[[str], None],
        failures: tuple[type[Exception], ...] = (),
    ) -> None:
        self._clock = clock
        self._say = say
        self._failures = failures
        self._start = clock()
        self._open: list[Step] = []

    @property
    def milliseconds(self) -> float:
        """Since the start."""
        return (self._clock() - self._start) * 1000

    @contextmanager
    def step(self, who: str, what: str) -> Iterator[Step]:
        """Print that `who` has done `what` when the block ends without an exception.

        Raises:
            StepFailed: it did not.
        """
        step = Step(who, what)
        self._open.append(step)
        try:
            yield step
        except self._failures as failure:
            raise StepFailed(who, what, explained(failure, what)) from failure
        self._open.remove(step)
        self._say(f"{self.milliseconds:9.1f} ms  {who:<7} {what}{step.result and ': '}{step.result}")

    def under_way(self) -> str:
        """List the steps that have begun and not ended: what each participant waited for when time was up."""
        return "; ".join(f"{step.who} was still trying to {step.what}" for step in self._open)
