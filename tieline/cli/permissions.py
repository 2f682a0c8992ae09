"""`tieline permissions`: write the accounts of a nats-server's configuration, for a namespace.

`deploy/nats/accounts.conf` is what it writes for the default one.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from tieline.cli.exits import EXIT_OK, refuse
from tieline.cli.options import whole
from tieline.runtime.settings import ProcessSettings, SettingsError, read_settings
from tieline.wire.permissions import Permissions, passages, permissions, permissions_in_transition
from tieline.wire.subjects import Subjects

ALL_OTHERS: Final = "TIELINE"
GATEWAYS: Final = "TIELINE_GATEWAYS"
"""The two accounts."""

Services = Mapping[str, bool]

NO_SERVICES: Final[Services] = MappingProxyType({})

ANSWER_WITHIN_S: Final = 10
"""An answer is allowed for twice as long as any process waits for one."""

ANSWERS: Final = 5
"""To one reply subject: a request that is not answered soon is sent again, and each copy is answered."""

_HEAD: Final = """\
# Who may log in to NATS, and what each may say and hear. Written by `tieline permissions{arguments}`: change
# tieline/wire/permissions.py, or the namespace, and have it written anew.
#
# Passwords come from the environment of nats-server: letters and digits, the first of them a letter.
"""

_TRANSITION: Final = """\
#
# Only for the way from Tieline 0.1.0, and back to it: both accounts are there, gateways still log in to that
# of all others, and presence may adapt the streams (docs/operations.md#from-010).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the namespace, and whether gateways have yet to move to their account."""
    parser.add_argument(
        "--namespace",
        metavar="N",
        default=ProcessSettings().namespace,
        help="what TIELINE_NAMESPACE is for the services (%(default)s)",
    )
    parser.add_argument(
        "--partitions",
        metavar="N",
        type=whole(),
        default=ProcessSettings().partitions,
        help="what TIELINE_PARTITIONS is for the services (%(default)s)",
    )
    parser.add_argument(
        "--former",
        metavar="N",
        type=whole(),
        default=0,
        help="on the way from another number of partitions: `tieline streams` may remove those",
    )
    parser.add_argument(
        "--transition",
        action="store_true",
        help="on the way from version 0.1.0: gateways stay in the account that they were in",
    )


def run(options: argparse.Namespace) -> int:
    """Print the accounts; returns the exit status."""
    try:
        given = {"TIELINE_NAMESPACE": options.namespace, "TIELINE_PARTITIONS": str(options.partitions)}
        read_settings(ProcessSettings, given)
    except SettingsError as problem:
        return refuse("permissions", str(problem))
    written = accounts(options.namespace, options.transition, options.partitions, options.former)
    sys.stdout.write(written)
    return EXIT_OK


def accounts(namespace: str, is_transition: bool = False, partitions: int = 1, former: int = 0) -> str:
    """Write the accounts for one namespace, as a file to be included by a nats-server's configuration.

    What passes between two accounts passes at the node of whoever listens. So each node has to know both
    before any gateway is in the second one, or those who ask and those who answer are cut off from each
    other while nodes are restarted one after the other. `is_transition` writes what comes first: with it
    processes of version 0.1.0 run, too. What is stored is in so many partitions, and was in `former` before.
    """
    subjects = Subjects(namespace, partitions)
    users = permissions_in_transition(subjects) if is_transition else permissions(subjects, former)
    passing = passages(subjects)
    default = namespace == ProcessSettings().namespace
    arguments = ("" if default else f" --namespace {namespace}") + (" --transition" if is_transition else "")
    arguments += f" --partitions {partitions}" if partitions > 1 else ""
    arguments += f" --former {former}" if former else ""
    gateway = _user("gateway", users["gateway"])
    return "\n".join(
        [
            _HEAD.format(arguments=arguments) + (_TRANSITION if is_transition else ""),
            "accounts {",
            f"  {ALL_OTHERS} {{",
            "    jetstream: enabled",
            *_exports(GATEWAYS, passing.to_gateways, passing.asked_by_gateways),
            *_imports(GATEWAYS, passing.from_gateways),
            "    users: [",
            *(gateway if is_transition else ()),
            *(line for user in users if user != "gateway" for line in _user(user, users[user])),
            "    ]",
            "  }",
            "  # Gateways face the internet: where JetStream answers them there is nothing to be forged.",
            f"  {GATEWAYS} {{",
            *_exports(ALL_OTHERS, passing.from_gateways),
            *_imports(ALL_OTHERS, passing.to_gateways, passing.asked_by_gateways),
            "    users: [",
            *(() if is_transition else gateway),
            "    ]",
            "  }",
            "  # For people with the `nats` command: no messages of Tieline's, but all about the servers.",
            "  SYS {",
            "    users: [{ user: admin, password: $TIELINE_ADMIN_PASSWORD }]",
            "  }",
            "}",
            "system_account: SYS",
            "",
        ]
    )


def _exports(account: str, streams: tuple[str, ...], services: Services = NO_SERVICES) -> list[str]:
    """Let another account hear some subjects, and ask on others; some questions have several answers."""
    to = f"accounts: [{account}]"
    several = {True: ", response_type: stream", False: ""}
    return [
        "    exports: [",
        *(f'      {{ stream: "{subject}", {to} }}' for subject in streams),
        *(f'      {{ service: "{subject}", {to}{several[many]} }}' for subject, many in services.items()),
        "    ]",
    ]


def _imports(account: str, streams: tuple[str, ...], services: Iterable[str] = ()) -> list[str]:
    """Hear some subjects of another account, and ask on others."""
    of = f"account: {account}, subject:"
    return [
        "    imports: [",
        *(f'      {{ stream: {{ {of} "{subject}" }} }}' for subject in streams),
        *(f'      {{ service: {{ {of} "{subject}" }} }}' for subject in services),
        "    ]",
    ]


def _user(name: str, allowed: Permissions) -> list[str]:
    return [
        "      {",
        f"        user: {name}",
        f"        password: {_password(name)}",
        "        permissions {",
        *(_patterns("publish", allowed.say) if allowed.say else ['          publish: { deny: ">" }']),
        *_patterns("subscribe", allowed.hear),
        *([_answers()] if allowed.answer else []),
        "        }",
        "      }",
    ]


def _patterns(verb: str, patterns: tuple[str, ...]) -> list[str]:
    return [
        f"          {verb}: {{ allow: [",
        *(f'            "{pattern}"' for pattern in patterns),
        "          ] }",
    ]


def _answers() -> str:
    return f'          allow_responses: {{ max: {ANSWERS}, expires: "{ANSWER_WITHIN_S}s" }}'


def _password(user: str) -> str:
    return f"$TIELINE_{user.upper()}_PASSWORD"
