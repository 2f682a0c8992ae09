"""A real coturn on loopback, which shares a secret with the gateways and nothing else."""

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from tests.support.demand import program
from tests.support.http_get import HOST
from tests.support.process import Process
from tieline.cli.dev.ports import hold_ports

TURN_SECRET: Final = "the secret of the relay, and no other's"

RELAYED: Final = (40_000, 60_000)
"""Ports for relays: not among those from which its own is taken, or a relay might be opened on that, too."""

_BINDING: Final = bytes.fromhex("000100002112a442") + b"twelve bytes"
"""The request for one's own address that every STUN server answers (RFC 8489, 5)."""

_ANSWER_S: Final = 0.2
"""For one answer from loopback; then it is asked again."""


class Coturn:
    """Runs while its `with` block does. Tests that use it carry `needs("coturn")`."""

    def __init__(self, folder: Path, secret: str = TURN_SECRET) -> None:
        self._folder = folder
        self._secret = secret
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        found = program("coturn")
        assert found is not None
        with ExitStack() as starting:
            (self.port,) = starting.enter_context(hold_ports(1, HOST))
            command = [
                *(found, "-n", "--no-cli", "--no-tls", "--no-dtls", "--allow-loopback-peers"),
                *(f"--listening-ip={HOST}", f"--listening-port={self.port}", f"--relay-ip={HOST}"),
                *(f"--min-port={RELAYED[0]}", f"--max-port={RELAYED[1]}"),
                *("--use-auth-secret", f"--static-auth-secret={self._secret}", "--realm=tieline.test"),
                *(f"--userdb={self._folder / 'turndb'}", f"--pidfile={self._folder / 'turnserver.pid'}"),
                *("--log-file=stdout", "--simple-log"),
            ]
            self._process = Process(command, self._folder / "coturn.log", folder=self._folder)
            starting.callback(self._process.end)
            self._process.until_ready(self._answers)
            self._ending = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ending.close()

    def new_client(self) -> socket.socket:
        """A socket whose address no other client has while this server runs.

        For up to a second after a relay is deleted, coturn refuses another one to the same address (437).
        """
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.setblocking(False)
        client.bind((HOST, 0))
        client.connect((HOST, self.port))
        self._ending.callback(client.dup().close)
        return client

    @property
    def url(self) -> str:
        """What clients are told."""
        return f"turn:{HOST}:{self.port}?transport=udp"

    @property
    def log(self) -> str:
        """Everything that it has said."""
        return self._process.output

    def _answers(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_ANSWER_S)
            asking.sendto(_BINDING, (HOST, self.port))
            try:
                return asking.recv(2048)[8:20] == _BINDING[8:]
            except (TimeoutError, ConnectionError):
                return False
