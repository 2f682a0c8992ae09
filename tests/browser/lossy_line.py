"""A network between browsers and a TURN server that loses packets: a UDP proxy, in a thread of its own."""

import random
import select
import socket
import threading
from typing import Final, Self

from tests.support.http_get import HOST

_LONGEST: Final = 65_536
_TURN_S: Final = 0.05
"""Between two looks at whether it is to end."""


class LossyLine:
    """Forwards datagrams to one port while its `with` block lasts, without some of them."""

    def __init__(self, port: int) -> None:
        self._target = HOST, port
        self.loss = 0.0
        """Which part of all datagrams is lost, in each direction; 1: all."""
        self._random = random.Random(7)
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._backs: dict[tuple[str, int], socket.socket] = {}
        self._cut: frozenset[tuple[str, int]] = frozenset()
        self._clients: dict[socket.socket, tuple[str, int]] = {}
        self._is_over = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._front.bind((HOST, 0))
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._is_over = True
        self._thread.join()
        for one in (self._front, *self._clients):
            one.close()

    @property
    def url(self) -> str:
        """What clients are told."""
        return f"turn:{HOST}:{self._front.getsockname()[1]}?transport=udp"

    def cut(self) -> None:
        """Lose all that comes from, or goes to, whoever has sent something until now: others get through."""
        self._cut = frozenset(self._backs)

    def _run(self) -> None:
        while not self._is_over:
            ready, _, _ = select.select([self._front, *self._clients], [], [], _TURN_S)
            for one in ready:
                try:
                    data, source = one.recvfrom(_LONGEST)
                except OSError:  # nobody listens there any more
                    continue
                if self._random.random() < self.loss:
                    continue
                client = source if one is self._front else self._clients[one]
                if client in self._cut:
                    continue
                if one is self._front:
                    self._back(source).send(data)
                else:
                    self._front.sendto(data, client)

    def _back(self, client: tuple[str, int]) -> socket.socket:
        if client not in self._backs:
            back = self._backs[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            back.bind((HOST, 0))
            back.connect(self._target)
            self._clients[back] = client
        return self._backs[client]
