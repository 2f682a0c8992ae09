"""`python -m bench.guard`: what has become slower since the last release.

Both trees are measured alternately, by the same client and with the same libraries, beside the hand-rolled
relay. Where the release's commit is not in the history of this clone, this tree's ratios to that relay are
compared with those that were kept of the release (`releases.json`). Not a timed test: it prints, and its exit
status says so only if it is asked to.
"""

import argparse
import datetime as dt
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from bench import machine
from bench.command import end_with
from bench.comparison import (
    SLOWER,
    Compared,
    Kept,
    all_ratios,
    compare_trees,
    compare_with_kept,
    summary,
    table,
)
from bench.losses import measure_losses
from bench.release_tree import has_commit, tree_of
from bench.rounds import FaultyRun, Plan, Results, measure, measurements
from bench.systems import HANDROLLED, ROOT, StartError, System, handrolled, tieline
from tieline.cli.exits import EXIT_FAILED, EXIT_OK
from tieline.cli.options import option_parser, seconds, whole
from tieline.load.calls import Kind

RELEASES: Final = Path(__file__).with_name("releases.json")

THIS: Final = "this tree"

CALLS: Final = (
    Kind(1),
    Kind(8),
    Kind(8, redial=True),
    Kind(1, in_a_room=True),
    Kind(8, in_a_room=True),
)
"""Set-ups that are compared. Of a release from before the last two nothing is kept of these."""

MODES: Final = ("relay", "load", "setup", "connect", "idle", "storm")
LOAD_PAIRS: Final = 50
STORM_CLIENTS: Final = 500
"""Of a gateway that dies: so many that they wait for each other, and few enough to arrive within seconds."""

LOAD_RATE: Final = 2000.0
"""Of the open loop, signals a second: about a tenth of what two processors carry."""


def read_releases(file: Path = RELEASES) -> list[Kept]:
    """Read what was kept, of the oldest release first."""
    return msgspec.json.decode(file.read_bytes(), type=list[Kept]) if file.exists() else []


def keep(kept: Kept, file: Path = RELEASES) -> None:
    """Keep what was measured of a release, instead of what was kept of it before."""
    others = [one for one in read_releases(file) if one.version != kept.version]
    file.write_bytes(msgspec.json.format(msgspec.json.encode([*others, kept]), indent=1) + b"\n")


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options."""
    parser = option_parser("python -m bench.guard", __doc__)
    parser.add_argument("--rounds", type=whole(), metavar="N", default=3, help="so many (%(default)s)")
    parser.add_argument(
        "--seconds", type=seconds, metavar="S", default=2.0, help="each lasts so many (%(default)g)"
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="measure only these")
    parser.add_argument("--release", metavar="VERSION", help="compare with this one (the last that was kept)")
    parser.add_argument("--commit", metavar="COMMIT", help="of that release (the one that was kept)")
    parser.add_argument(
        "--kept", action="store_true", help="compare with what was kept, though the release could be run"
    )
    parser.add_argument(
        "--keep", action="store_true", help=f"write the release's ratios into {RELEASES.name}"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure of every round there")
    parser.add_argument("--fail", action="store_true", help="end with 1 if something became slower")
    options = parser.parse_args(words)
    if options.keep and options.kept:
        parser.error("--keep measures the release, and --kept does not")
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    """Make a plan of the options."""
    modes = options.modes
    return Plan(
        rounds=options.rounds,
        seconds=options.seconds,
        pairs=(1, 50, 200) if "relay" in modes else (),
        load_pairs=LOAD_PAIRS if "load" in modes else 0,
        rate=LOAD_RATE,
        calls=CALLS if "setup" in modes else (),
        arrivals_at_once=16 if "connect" in modes else 0,
        idle=1000 if "idle" in modes else 0,
        storm=STORM_CLIENTS if "storm" in modes else 0,
    )


def release_of(options: argparse.Namespace, kept: list[Kept]) -> tuple[str, str, Kept | None]:
    """Say which release is meant: its version, its commit, and what was kept of it.

    Raises:
        StartError: it is not known which.
    """
    version = options.release or (kept[-1].version if kept else "")
    found = next((one for one in kept if one.version == version), None)
    commit = options.commit or (found.commit if found else f"v{version}")
    if not version:
        raise StartError("nothing was kept of any release: name one with --release and --commit")
    return version, commit, found


async def main(options: argparse.Namespace, command: str) -> int:
    """Measure, compare and print; returns the exit status.

    Raises:
        StartError, FaultyRun, LoadError, UpgradeRefused, OSError, TimeoutError: no figures, and why.
    """
    version, commit, kept = release_of(options, read_releases())
    plan = plan_of(options)
    runs_both = not options.kept and has_commit(commit)
    if not runs_both and (kept is None or options.keep):
        raise StartError(f"the history of this clone has no commit {commit} of {version}")
    with ExitStack() as held:
        starters: dict[str, Callable[[], AbstractAsyncContextManager[System]]]
        starters = {THIS: partial(tieline, name=THIS), HANDROLLED: handrolled}
        if runs_both:
            tree = held.enter_context(tree_of(commit))
            starters[version] = partial(tieline, tree=tree, name=version)
        results = Results()
        if measurements(plan) or plan.idle:
            async with AsyncExitStack() as stack:
                systems = [await stack.enter_async_context(start()) for start in starters.values()]
                results = await measure(systems, plan)
        if plan.storm:
            await measure_losses(starters, plan.storm, plan.rounds, results)
    compared: list[Compared] = []
    if runs_both:
        how = f"Both trees were measured in the same rounds; {version} is {commit}."
        compared = compare_trees(plan, results, THIS, version, HANDROLLED)
    elif kept is not None:
        how = f"{version} was measured at {kept.at}, on: {kept.machine}; `{kept.command}`."
        compared = compare_with_kept(plan, results, THIS, kept.ratios, kept.reference)
    sys.stdout.write(f"{table(compared, version, HANDROLLED)}\n\n{how}\n")
    rounds = f"Medians of {plan.rounds} interleaved rounds" if plan.rounds > 1 else "One round"
    sys.stdout.write(f"{rounds}, with the lowest and the highest.\n")
    sys.stdout.write("".join(f"{line}\n" for line in summary(compared)))
    sys.stdout.write(f"Machine: {machine.describe()}.\nCommand: `{command}`.\n")
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    if options.keep:
        keep(
            Kept(
                version=version,
                commit=_whole(commit),
                at=dt.datetime.now(dt.UTC).date().isoformat(),
                machine=machine.describe(),
                command=command,
                reference=HANDROLLED,
                seconds=plan.seconds,
                ratios={
                    name: [round(ratio, 4) for ratio in found]
                    for name, found in all_ratios(plan, results, version, HANDROLLED).items()
                },
            )
        )
    is_slower = any(one.verdict == SLOWER for one in compared)
    return EXIT_FAILED if options.fail and is_slower else EXIT_OK


def _whole(commit: str) -> str:
    """Return the whole name of a commit that is in the history."""
    command = ("git", "-C", str(ROOT), "rev-parse", f"{commit}^{{commit}}")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run(words: list[str]) -> int:
    """Run the comparison; returns the exit status."""
    options = parse(words)
    command = shlex.join(("python", "-m", "bench.guard", *words))
    return end_with("bench.guard", lambda: main(options, command), (FaultyRun,))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
