"""The command line: `tieline COMMAND`, also as `python -m tieline.cli`.

Each command is a module with `add_arguments(parser)` and `run(args) -> int`, imported only when it is the
one asked for: only a command that needs a package fails when it is missing.
"""

import argparse
import contextlib
import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import Final, NamedTuple

from tieline import __version__
from tieline.cli.exits import EXIT_INTERRUPTED, fail_without_package, interrupted_at_once, while_it_is_read
from tieline.cli.options import OptionParser, option_parser


class Command(NamedTuple):
    """The module of one command, a summary for the list of commands, and what its own help says beside it."""

    module: str
    summary: str
    more: str
    mode: str = ""
    """Of a command with modes: the one that is meant where none is named."""


OVER_API: Final = (
    "Asks the backend's API at TIELINE_API_URL with the key in TIELINE_API_KEY; `tieline dev` prints both."
)

COMMANDS: Final = {
    "dev": Command(
        "tieline.cli.dev.command",
        "run the whole system on this machine",
        "A broker, gateways, routers and presence, until Ctrl-C or SIGTERM. It prints the URLs, tokens\n"
        "to try it with, and where the logs are. The services' settings stand in the environment\n"
        "(docs/configuration.md).",
    ),
    "permissions": Command(
        "tieline.cli.permissions",
        "write who may do what on a nats-server",
        "Prints the accounts that nats-server's configuration includes (deploy/nats/accounts.conf).",
    ),
    "streams": Command(
        "tieline.cli.streams",
        "make or adapt what NATS stores, as the settings say",
        "It reads the settings of presence from the environment (docs/configuration.md): TIELINE_NATS_URL\n"
        "and how to log in, TIELINE_NAMESPACE, TIELINE_STORAGE, TIELINE_REPLICAS and more. Where each\n"
        "service has a user of its own, this one is `streams` (docs/operations.md#streams-that-are-there).",
    ),
    "webhooks": Command(
        "tieline.cli.webhooks",
        "show what webhooks have not taken, and tell it again",
        "It reads the settings of webhook workers from the environment (docs/configuration.md#webhooks):\n"
        "TIELINE_NATS_URL and how to log in, as their user `webhooks`, TIELINE_NAMESPACE and more.",
    ),
    "token": Command(
        "tieline.cli.token",
        "make an admission token for a user",
        "Prints a JWT, signed with TIELINE_JWT_SECRET or what is in the file TIELINE_JWT_SECRET_FILE, and\n"
        "for the first of TIELINE_JWT_AUDIENCE, TIELINE_JWT_ISSUER and TIELINE_JWT_TYPE, if they are set.\n"
        "In production your own backend makes them.",
    ),
    "call": Command(
        "tieline.cli.call.command",
        "make a real voice call through a running system",
        "Two WebRTC peers on two gateways call each other and each sends a tone; the call is good when\n"
        "both hear the other's. With --answer or --to there is one end only, a bot. Times are in seconds.",
    ),
    "bench": Command(
        "tieline.cli.bench.command",
        "measure a running system",
        "Each mode prints rates, percentiles of latencies, CPU seconds, and what the bench used itself;\n"
        "options without a mode mean `relay`. Each has options of its own: `tieline bench MODE --help`.\n"
        "The system must run with TIELINE_LIMITS=off: else its limits are what is measured\n"
        "(docs/performance.md#your-own-deployment). To compare systems, `python -m bench` measures them\n"
        "alternately.",
        mode="relay",
    ),
    "conformance": Command(
        "tieline.cli.conformance.command",
        "test a client in any language against scripted servers",
        "Starts a driver of the client for each scenario, tells it in lines of JSON what its application\n"
        "does, and says which promise of the protocol the client broke (docs/conformance.md).",
    ),
    "top": Command(
        "tieline.cli.top",
        "show which users and rooms cost a running system most",
        "Asks the ops ports of gateways for the last minute, and adds up: WEBRTC messages (signals), their\n"
        "KiB, and CPU seconds of everything that was asked for, in all processes.",
    ),
    "rooms": Command("tieline.cli.backend.rooms", "list the rooms of a running system", OVER_API),
    "members": Command("tieline.cli.backend.members", "list who is in a room", OVER_API),
    "kick": Command("tieline.cli.backend.kick", "disconnect a user, or put it out of a room", OVER_API),
    "ban": Command("tieline.cli.backend.ban", "keep a user away for a while", OVER_API),
    "close": Command("tieline.cli.backend.close", "put everybody out of a room", OVER_API),
    "send": Command("tieline.cli.backend.send", "send a message to a user or a room", OVER_API),
    "tail": Command(
        "tieline.cli.backend.tail",
        "follow what happens, until Ctrl-C",
        "Who comes and goes, who calls whom, and what becomes of it, if presence keeps events\n"
        f"(TIELINE_EVENTS=on, as under `tieline dev`). {OVER_API}",
    ),
    "api-key": Command(
        "tieline.cli.backend.api_key",
        "make a key for the backend's API",
        "Prints the key, for who asks, and its entry, for the API: several entries stand side by side, with\n"
        "commas between them, so that a key is changed without a pause.",
    ),
    "completion": Command(
        "tieline.cli.completion",
        "complete commands and options in a shell",
        'In bash: eval "$(tieline completion bash)"; for good, put that into ~/.bashrc. zsh takes it in\n'
        "the same way; in fish, save it as ~/.config/fish/completions/tieline.fish.",
    ),
}
"""Those that a user calls first come first."""

EXAMPLES: Final = {
    "dev": "tieline dev --port 8080 --ready-file ready.json",
    "permissions": "tieline permissions --namespace tieline > accounts.conf",
    "streams": "TIELINE_NATS_URL=nats://127.0.0.1:4222 tieline streams",
    "webhooks": "tieline webhooks list",
    "token": "tieline token carol --room demo --ttl 86400",
    "call": "tieline call --url ws://127.0.0.1:8080/ws --room demo --to carol --once",
    "bench": "tieline bench --url ws://127.0.0.1:8080/ws",
    "top": "tieline top http://127.0.0.1:9090 http://127.0.0.1:9091",
    "rooms": "tieline rooms --json",
    "members": "tieline members demo",
    "kick": "tieline kick carol --room demo --for 600",
    "ban": "tieline ban carol --for 3600",
    "close": "tieline close demo",
    "send": """tieline send --room demo '{"text": "in five minutes"}'""",
    "api-key": "tieline api-key reports --scope statistics:read",
}
"""What one may write, as each command's own help ends with it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command named first in `arguments` (default: this process's own); return the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    asked = words[0] if words else ""
    if asked in COMMANDS:
        words = with_mode(words, COMMANDS[asked].mode)
    parser, subparsers = _parsers()
    if asked in COMMANDS:
        try:
            with interrupted_at_once():
                _declare(asked, subparsers[asked])
        except ModuleNotFoundError as missing:
            if (missing.name or "").startswith("tieline"):
                raise
            return fail_without_package(asked, missing)
    options, unknown = parser.parse_known_args(words)
    if unknown:
        subparsers.get(asked, parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    # A gateway and `tieline dev` say so in their own words.
    warnings.filterwarnings("ignore", message="The HMAC key is")
    try:
        return while_it_is_read(lambda: int(options.run(options)))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _parsers() -> tuple[OptionParser, dict[str, argparse.ArgumentParser]]:
    """Make the parser of all, and one for each command, without its options."""
    parser = option_parser("tieline", "Signaling for WebRTC voice calls.")
    parser.add_argument("--version", action="version", version=f"tieline {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    return parser, {
        name: commands.add_parser(
            name,
            help=command.summary,
            description=f"tieline {name}: {command.summary}.\n{command.more}",
            epilog=f"for example:\n  {EXAMPLES[name]}" if name in EXAMPLES else None,
            formatter_class=parser.formatter_class,
        )
        for name, command in COMMANDS.items()
    }


def _declare(name: str, parser: argparse.ArgumentParser) -> None:
    """Import the module of a command, and have its parser know its options. Raises `ModuleNotFoundError`."""
    module = importlib.import_module(COMMANDS[name].module)
    module.add_arguments(parser)
    parser.set_defaults(run=module.run)


def parser_of_all() -> argparse.ArgumentParser:
    """Make a parser that knows the options of all commands whose packages are installed."""
    parser, subparsers = _parsers()
    for name, each in subparsers.items():
        with contextlib.suppress(ModuleNotFoundError):
            _declare(name, each)
    return parser


def with_mode(words: list[str], mode: str) -> list[str]:
    """Name the mode that is meant where a command with modes has options only."""
    options = words[1:2]
    if not mode or options in ([], ["-h"], ["--help"]) or not options[0].startswith("-"):
        return words
    return [words[0], mode, *words[1:]]


if __name__ == "__main__":
    sys.exit(main())
