"""How the backend's API answers, and what is raised where it refuses or nobody answers."""

from typing import Final, TypeVar

import httpx
import msgspec

from tieline.api.bodies import Body, Problem

BETWEEN_S: Final = 0.2
"""Between two attempts: an API process that has ended is replaced by a balancer in less."""

RETRIED: Final = frozenset((502, 503, 504))
"""Nobody could answer: presence, or a balancer in front."""

BodyT = TypeVar("BodyT", bound=Body)


class Refused(Exception):
    """The API has refused a request; `problem` says why, and the text what is wrong with which field, too."""

    def __init__(self, problem: Problem) -> None:
        fields = (
            f"{each.field}: {each.detail}".removeprefix(": ")
            for each in problem.errors
            if each.detail != problem.detail
        )
        super().__init__("; ".join((f"{problem.reason}: {problem.detail}", *fields)))
        self.problem = problem


class Unavailable(Exception):
    """Nobody has answered in time. Whether a change was made is unknown; the same key makes it once.

    `said` is what the API has said itself; "": it was not reached, or something in front of it answered.
    """

    def __init__(self, problem: str, said: str = "") -> None:
        super().__init__(f"{problem}: {said}" if said else problem)
        self.said = said


def read(answer: httpx.Response, wanted: type[BodyT]) -> BodyT:
    """Read an answer.

    Raises:
        Refused: it is a refusal.
        Unavailable: it is not the API's.
    """
    if not answer.is_success:
        raise refusal(answer)
    try:
        return msgspec.json.decode(answer.content, type=wanted)
    except msgspec.MsgspecError:
        raise _not_the_apis(answer) from None


def refusal(answer: httpx.Response) -> Refused | Unavailable:
    """Read a refusal, to be raised; `Unavailable`: it is not the API's."""
    try:
        return Refused(msgspec.json.decode(answer.content, type=Problem))
    except msgspec.MsgspecError:
        return _not_the_apis(answer)


def said_in(answer: httpx.Response) -> str:
    """Read what the API says beside its status; "": this answer is not the API's."""
    told = refusal(answer)
    return told.problem.detail if isinstance(told, Refused) else ""


def _not_the_apis(answer: httpx.Response) -> Unavailable:
    return Unavailable(f"{answer.url}: status {answer.status_code}, which is no answer of the API's")
