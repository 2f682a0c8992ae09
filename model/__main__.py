"""Explore everything, or what is named, and print what was found.

    python -m model                what the tests check, too
    python -m model hold-blindly   one run, or several, by name
    python -m model --everything   a crash, a lost connection and a hasty retry in one scenario

Ends with 1 if anything was found that must not be, or was not found that must be.
"""

import sys
import time
from collections.abc import Mapping

from model.explore import Found
from model.runs import EVERYTHING, PLANTED, PROOFS, Explored, Run
from model.scenario import ANOTHER_CALL, CALL, CANCELLED, TWO_SENDERS
from tieline.cli.options import option_parser

ALL = {**PROOFS, **PLANTED}

DEEPEST = {
    scenario.title: Run(scenario, EVERYTHING) for scenario in (CALL, TWO_SENDERS, ANOTHER_CALL, CANCELLED)
}


def main() -> int:
    """Run it; returns the exit code."""
    parser = option_parser("python -m model", __doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {'; '.join(ALL)}")
    parser.add_argument("--everything", action="store_true", help="explore further: minutes, gigabytes")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in ALL]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}")
    chosen: Mapping[str, Explored] = (
        DEEPEST if given.everything else {name: ALL[name] for name in given.names or ALL}
    )
    outcomes = [_show(name, run) for name, run in chosen.items()]
    return 0 if all(outcomes) else 1


def _show(name: str, run: Explored) -> bool:
    began = time.monotonic()
    found = run.explore()
    seconds = time.monotonic() - began
    is_right = bool(found.fault) == bool(run.breaks)
    mark = "" if is_right else "  <-- WRONG"
    print(f"{name}: {found.fault or 'every promise kept'}{mark}")
    print(f"  {found.states:,} states, {found.steps:,} steps, {seconds:.1f} s")
    print(render(found), end="", flush=True)
    return is_right


def render(found: Found) -> str:
    """Number the steps that led to a fault."""
    return "".join(f"  {number:3}. {label}\n" for number, label in enumerate(found.trace, 1))


if __name__ == "__main__":
    sys.exit(main())
