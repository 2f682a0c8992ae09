"""The whole system on this machine: which processes it consists of, on which ports, with which settings.

All of it is decided before anything starts, so that a process which ends is restarted on its old port.
"""

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from api.callers import entry
from tieline.cli.dev import broker_process, child, ports, readiness
from tieline.cli.dev.supervisor import ProcessSpec
from tieline.cli.ready_file import ReadyFile
from tieline.cli.secret import SECRET_FILE_VARIABLE, find_secret
from tieline.runtime.secret_files import FILE_SUFFIX
from tieline.runtime.settings import value_or_file
from tieline.tokens import SECRET_VARIABLE

LOOPBACK: Final = "127.0.0.1"
NO: Final = ("0", "false")
"""The values with which a setting says no."""
GATEWAY, ROUTER, PRESENCE, NATS, API, WEBHOOKS = "gateway", "router", "presence", "nats", "api", "webhooks"
KINDS: Final = (NATS, GATEWAY, ROUTER, PRESENCE, API, WEBHOOKS)

API_KEYS_VARIABLE: Final = "TIELINE_API_KEYS"
WEBHOOK_SECRET_VARIABLE: Final = "TIELINE_WEBHOOK_SECRET"  # noqa: S105  # the name of the variable
PRIVATE_VARIABLE: Final = "TIELINE_WEBHOOK_PRIVATE"
DEV_KEY: Final = "dev"
"""What the key that is made up is called."""


class Size(NamedTuple):
    """How many processes of each kind, and the first gateway's port (0: any free ones)."""

    gateways: int
    routers: int
    presences: int
    port: int
    apis: int = 0
    webhook_url: str = ""
    """Where a webhook worker tells what happens; empty: none runs."""


class LocalSystem(NamedTuple):
    """The processes that `tieline dev` runs, and the addresses at which they will be."""

    specs: list[ProcessSpec]
    """In the order of their dependencies."""
    gateway_urls: list[str]
    ops_urls: dict[str, list[str]]
    nats_url: str
    secret: str
    """Signs the tokens that the gateways accept."""
    has_demo: bool
    api_urls: Sequence[str] = ()
    api_key: str = ""
    """Good there for everything."""
    webhook_secret: str = ""
    """Signs what is told to the webhook; empty: none runs."""

    @property
    def demo_urls(self) -> list[str]:
        """The pages on which to try a call, one for each gateway."""
        pages = ["http" + url.removeprefix("ws").removesuffix("ws") for url in self.gateway_urls]
        return pages if self.has_demo else []

    def urls(self, kind: str) -> list[str]:
        """The address of each process of a kind: a gateway's is for clients, a router's for operators."""
        if kind == NATS:
            return [self.nats_url]
        if kind == API:
            return list(self.api_urls)
        return self.gateway_urls if kind == GATEWAY else self.ops_urls.get(kind, [])

    def ready_file(self, pids: Callable[[str], list[int]]) -> ReadyFile:
        """Build the contents of the ready file; `pids` gives the processes of a kind."""
        return ReadyFile(
            self.gateway_urls,
            self.ops_urls,
            self.nats_url,
            {kind: pids(kind) for kind in KINDS if kind == NATS or self.ops_urls.get(kind)},
            *((self.api_urls[0], self.api_key) if self.api_urls else ()),
        )


def plan(size: Size, environ: Mapping[str, str], storage: Path, held: ExitStack) -> LocalSystem:
    """Choose programs, ports and settings. `storage` is an empty folder for the broker's streams.

    The ports are kept from other programs until `held` is closed.

    Raises:
        NoNatsServer: there is no broker to run.
        PortTaken: a port that was asked for is taken, or there are not enough free ones.
        SettingsError: the secret of the tokens, or the keys of the API, cannot be read.
    """
    program = broker_process.find_nats_server(environ)
    listen_host = environ.get("TIELINE_LISTEN_HOST") or LOOPBACK
    ops_host = environ.get("TIELINE_OPS_HOST") or LOOPBACK
    wanted = [size.port + nth for nth in range(size.gateways)] if size.port else []
    for port in wanted:
        ports.check_free(listen_host, port)
    workers = 1 if size.webhook_url else 0
    processes = size.gateways + size.routers + size.presences + size.apis + workers
    gateway_ports = wanted or held.enter_context(ports.hold_ports(size.gateways, listen_host))
    api_host = environ.get("TIELINE_API_HOST") or LOOPBACK
    api_ports = held.enter_context(ports.hold_ports(size.apis, api_host, but=gateway_ports))
    taken = (*gateway_ports, *api_ports)
    nats_port, *ops_ports = held.enter_context(ports.hold_ports(1 + processes, LOOPBACK, but=taken))
    nats_url = f"nats://{LOOPBACK}:{nats_port}"
    secret = find_secret(None, environ) or secrets.token_urlsafe(32)
    api_key = secrets.token_urlsafe(32) if size.apis else ""
    webhook_secret = ""
    if workers:
        given_secret = value_or_file(WEBHOOK_SECRET_VARIABLE, environ)
        webhook_secret = given_secret or f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    demo = environ.get("TIELINE_DEMO") or "1"

    broker = ProcessSpec(
        NATS,
        "the nats-server",
        broker_process.broker_command(program, LOOPBACK, nats_port, storage),
        broker_process.broker_environment(environ),
        partial(broker_process.why_broker_not_ready, LOOPBACK, nats_port),
    )
    system = LocalSystem(
        [broker],
        [],
        {
            kind: []
            for kind in (
                GATEWAY,
                ROUTER,
                PRESENCE,
                *((API,) if size.apis else ()),
                *((WEBHOOKS,) if workers else ()),
            )
        },
        nats_url,
        secret,
        demo not in NO,
        [f"http://{ports.reachable(api_host)}:{port}" for port in api_ports],
        api_key,
        webhook_secret,
    )

    def add(kind: str, settings: Mapping[str, str]) -> None:
        ops_port = ops_ports.pop()
        ops_urls = system.ops_urls[kind]
        ops_urls.append(f"http://{ports.reachable(ops_host)}:{ops_port}")
        system.specs.append(
            ProcessSpec(
                kind,
                f"{kind} {len(ops_urls)}",
                [*child.PYTHON, "-m", kind],
                {**environ, "TIELINE_NATS_URL": nats_url, "TIELINE_OPS_PORT": str(ops_port), **settings},
                partial(readiness.why_not_ready, ports.reachable(ops_host), ops_port),
            )
        )

    tokens = {  # for presence, too, which may be told to look at them (TIELINE_VERIFY_TOKENS)
        SECRET_VARIABLE: secret,
        SECRET_FILE_VARIABLE: "",
        "TIELINE_ALLOW_WEAK_SECRETS": environ.get("TIELINE_ALLOW_WEAK_SECRETS")
        or "1",  # the screen warns of it
    }
    for _ in range(size.presences):
        events = environ.get("TIELINE_EVENTS") or "on"
        one = {"TIELINE_REPLICAS": "1", "TIELINE_STORAGE": "file", "TIELINE_EVENTS": events}
        add(PRESENCE, {**one, **tokens})
    for _ in range(size.routers):
        add(ROUTER, {})
    # Backends that are written beside it are on this machine. The API and the workers have to agree.
    private = {PRIVATE_VARIABLE: environ.get(PRIVATE_VARIABLE) or "1"}
    for _ in range(workers):
        to = {
            **private,
            "TIELINE_WEBHOOK_URL": size.webhook_url,
            WEBHOOK_SECRET_VARIABLE: webhook_secret,
            WEBHOOK_SECRET_VARIABLE + FILE_SUFFIX: "",
            "TIELINE_REPLICAS": "1",
            "TIELINE_STORAGE": "file",
        }
        add(WEBHOOKS, to)
    given = value_or_file(API_KEYS_VARIABLE, environ)
    keys = {
        API_KEYS_VARIABLE: ",".join(filter(None, (given, entry(DEV_KEY, api_key)))),
        API_KEYS_VARIABLE + FILE_SUFFIX: "",
    }
    for port in api_ports:
        add(API, {**tokens, **keys, **private, "TIELINE_API_HOST": api_host, "TIELINE_API_PORT": str(port)})
    # The page of one gateway may connect to every other one, too.
    tls = "s" if environ.get("TIELINE_TLS_CERT") else ""
    own = [f"http{tls}://{host}:{port}" for host in (LOOPBACK, "localhost") for port in gateway_ports]
    settings = {
        **tokens,
        "TIELINE_ORIGINS": environ.get("TIELINE_ORIGINS") or ",".join(own),
        "TIELINE_LISTEN_HOST": listen_host,
        "TIELINE_DEMO": demo,
        "TIELINE_DRAIN_WAIT": environ.get("TIELINE_DRAIN_WAIT") or "0",  # there is no balancer in front
    }
    for port in gateway_ports:
        add(GATEWAY, {**settings, "TIELINE_LISTEN_PORT": str(port)})
        system.gateway_urls.append(f"ws{tls}://{ports.reachable(listen_host)}:{port}/ws")
    return system
