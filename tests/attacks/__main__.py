"""`python -m tests.attacks`: every attack, or those of a name, against a system with its default settings.

Prints a line for each row, and ends with 1 if anything was lost, anybody put out, or a process ended.
With `--measure` it prints a table of how long honest messages took before and meanwhile; `--json` keeps all.
With `--floods` it prints another one: how long others wait while one client sends 4 MB at once (`floods`).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import machine
from tests.attacks import floods
from tests.attacks.arena import Arena
from tests.attacks.rows import ROWS
from tests.attacks.scene import Attack
from tests.attacks.verdict import Seen, counted, problems
from tieline.cli.exits import until_told_to_end
from tieline.cli.options import number, option_parser, seconds, seconds_or_none


def parse(words: list[str]) -> argparse.Namespace:
    """Read the options."""
    parser = option_parser("python -m tests.attacks", __doc__)
    parser.add_argument(
        "--only", default="", metavar="WORD", help="the row WORD, or all with it in their names"
    )
    parser.add_argument("--but", default="", metavar="WORDS", help="no rows with one of these, with commas")
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=8.0,
        metavar="S",
        help="each attack lasts so many seconds, or what it needs at least (%(default)g)",
    )
    parser.add_argument(
        "--quiet",
        type=seconds_or_none,
        default=3.0,
        metavar="S",
        help="seconds for which others are watched before each attack, and after it (%(default)g)",
    )
    parser.add_argument(
        "--share",
        type=number(0.001, 10),
        default=1.0,
        metavar="X",
        help="crowds are so many times as large as they should be (%(default)g)",
    )
    parser.add_argument("--one-address", action="store_true", help="everybody comes from 127.0.0.1")
    parser.add_argument("--measure", action="store_true", help="print the table, and judge no row")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was seen")
    parser.add_argument("--list", action="store_true", help="only name the rows")
    parser.add_argument("--floods", action="store_true", help="no rows: measure floods of 4 MB")
    return parser.parse_args(words)


def chosen(options: argparse.Namespace) -> list[Attack]:
    """Choose the rows: the one that is called so, or else those with that word in their names."""
    but = [word for word in options.but.split(",") if word]
    named = [attack for attack in ROWS if attack.name == options.only]
    return [
        attack
        for attack in named or ROWS
        if options.only in attack.name and not any(word in attack.name for word in but)
    ]


def seen_of(
    attacks: list[Attack], options: argparse.Namespace, folder: Path
) -> Iterator[tuple[Attack, Seen]]:
    """Do the rows, on one system as long as its settings serve and nothing was amiss."""
    with ExitStack() as stack:
        arena: Arena | None = None
        for nth, attack in enumerate(attacks):
            if arena is None or not arena.serves(attack):
                stack.close()
                arena = stack.enter_context(
                    Arena(
                        folder / str(nth),
                        attack,
                        share=options.share,
                        one_address=options.one_address,
                        quiet_s=options.quiet,
                        rest_s=options.quiet,
                    )
                )
            seen = arena.row(attack, options.seconds)
            arena.is_fit = not problems(seen, kills_broker=attack.kills_broker) and not attack.kills_broker
            yield attack, seen


def main(words: list[str]) -> int:
    """Run, and say with the exit status whether all rows held."""
    options = parse(words)
    if options.floods:
        tell(f"Machine: {machine.describe()}.\n")
        floods.measure(tell)
        return 0
    attacks = chosen(options)
    if not attacks:
        sys.stderr.write(f"no attack has {options.only!r} in its name; --list names all\n")
        return 2
    if options.list:
        sys.stdout.writelines(f"{attack.name:32} {attack.what}\n" for attack in attacks)
        return 0
    kept: dict[str, Any] = {}
    failed: list[str] = []
    if options.measure:
        tell(f"Machine: {machine.describe()}.\n\n{HEAD}")
    with tempfile.TemporaryDirectory() as folder:
        for attack, seen in seen_of(attacks, options, Path(folder)):
            found = problems(seen, kills_broker=attack.kills_broker)
            failed += [attack.name] if found else []
            kept[attack.name] = {**asdict(seen), "log": len(seen.log), "problems": found}
            tell(line_of(attack, seen, found) if options.measure else verdict_of(attack, seen, found))
            if options.json is not None:
                options.json.parent.mkdir(parents=True, exist_ok=True)
                options.json.write_text(json.dumps(kept, indent=1))
    tell(f"\n{len(attacks) - len(failed)} of {len(attacks)} rows held; not so: {', '.join(failed) or 'none'}")
    return 0 if options.measure or not failed else 1


HEAD = (
    "| attack | p50 quiet | p99 quiet | p50 loud | p99 loud | ratio of p99 | newcomers p99 | most growth"
    " | cores: attackers | busiest | all | amiss |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def line_of(attack: Attack, seen: Seen, found: list[str]) -> str:
    """Set out one row of the table; times in milliseconds."""
    phases, entering = seen.honest["phases"], seen.honest["entering"]
    quiet, loud = phases.get("quiet", {}), phases.get("loud", {})
    times = [
        f"{phase[name]:.1f}" if phase else "-" for phase in (quiet, loud) for name in ("p50_ms", "p99_ms")
    ]
    ratio = f"{loud['p99_ms'] / quiet['p99_ms']:.1f}" if quiet and loud else "-"
    newcomers = f"{entering['loud']['p99_ms']:.0f}" if "loud" in entering else "-"
    grown = max(seen.grown_mib.items(), key=lambda each: each[1])
    cells = [
        attack.name,
        *times,
        ratio,
        newcomers,
        f"{grown[0]} +{grown[1]:.0f} MiB",
        *_cores_of(seen),
        "; ".join(found) or "-",
    ]
    return f"| {' | '.join(cells)} |"


def _cores_of(seen: Seen) -> tuple[str, str, str]:
    """Set out who kept the machine busy: what attackers use themselves is no fault of the system."""
    system = {name: cores for name, cores in seen.cores.items() if name not in ("attackers", "honest")}
    if not system:
        return "-", "-", "-"
    name, most = max(system.items(), key=lambda each: each[1])
    return f"{seen.cores['attackers']:.2f}", f"{name} {most:.2f}", f"{sum(seen.cores.values()):.2f}"


def verdict_of(attack: Attack, seen: Seen, found: list[str]) -> str:
    """Say in some lines how a row went."""
    loud = seen.honest["phases"].get("loud", {})
    took = f"p99 {loud['p99_ms']:.0f} ms" if loud else "nothing heard"
    done = counted(seen.attack["counts"])
    lines = [f"{'FAILED' if found else 'held  '} {attack.name}: others' {took}; {done or 'nothing counted'}"]
    return "\n".join([*lines, *(f"       - {sentence}" for sentence in found)])


def tell(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(until_told_to_end(lambda: main(sys.argv[1:])))
