"""The demo: a fixed set of files, and tokens for any request. Off unless `TIELINE_DEMO` says otherwise.

It answers plain GETs before `admission` sees them. Tokens are given only to who asks for this gateway by an
address or name of its own: else a page from elsewhere, whose name it makes point to this machine, could fetch
one for anybody. The files are those of `web/`, which stands beside this package in the source and in an
installation alike. They are read once, when the gateway starts.
"""

import http
import ipaddress
import json
import logging
import time
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import jwt
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tieline.tokens import ANYBODY, MadeFor
from tieline.wire.ids import ID_RULE, is_valid_id

WEB: Final = Path(__file__).resolve().parent.parent / "web"

FILES: Final[Mapping[str, tuple[str, str]]] = {
    "/": ("demo/index.html", "text/html"),
    "/demo.css": ("demo/demo.css", "text/css"),
    "/demo.js": ("demo/demo.js", "text/javascript"),
    "/timeline.js": ("demo/timeline.js", "text/javascript"),
    "/words.js": ("demo/words.js", "text/javascript"),
    "/meters.js": ("demo/meters.js", "text/javascript"),
    "/elements.js": ("demo/elements.js", "text/javascript"),
    "/people.js": ("demo/people.js", "text/javascript"),
    "/recent.js": ("demo/recent.js", "text/javascript"),
    "/sound.js": ("demo/sound.js", "text/javascript"),
    "/stage.js": ("demo/stage.js", "text/javascript"),
    "/tabs.js": ("demo/tabs.js", "text/javascript"),
    "/wire.js": ("demo/wire.js", "text/javascript"),
    "/icon.svg": ("demo/icon.svg", "image/svg+xml"),
    "/favicon.ico": ("demo/icon.svg", "image/svg+xml"),
    "/tieline.js": ("tieline.js", "text/javascript"),
}
"""What is served, and where it is in `web/`. A path that is not here is looked for nowhere."""

LOST: Final[Mapping[str, str]] = {"zh": "demo/lost.zh.html", "en": "demo/lost.html"}
"""What a browser is shown under any other path, by language. Programs get the gateway's own answer."""

SOCKET_PATH: Final = "/ws"
"""The gateway's own: it says what is wrong there."""

TOKEN_PATH: Final = "/token"  # noqa: S105  # a path, not a secret
MISDIRECTED: Final = http.HTTPStatus.MISDIRECTED_REQUEST
TOKEN_TTL_S: Final = 3600
"""A token of the demo lasts an hour; its page fetches a new one for every connection."""

_LOCAL: Final = "localhost"

_log = logging.getLogger(__name__)

_POLICY: Final = "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'"


class Pages:
    """Answers requests for the demo."""

    def __init__(
        self,
        secret: str,
        hosts: Set[str] | None = frozenset(),
        folder: Path = WEB,
        made_for: MadeFor = ANYBODY,
        ttl_s: int = TOKEN_TTL_S,
    ) -> None:
        """Read the files. `hosts` are names of this gateway beside `localhost`; None: it is called anything.

        Raises:
            OSError: one of them is not there.
        """
        self._secret = secret
        self._hosts = hosts
        self._made_for = made_for
        self._ttl_s = ttl_s
        self._bodies = {path: ((folder / file).read_bytes(), kind) for path, (file, kind) in FILES.items()}
        self._lost = {language: (folder / file).read_bytes() for language, file in LOST.items()}

    def answer(self, request: Request, address: str = "") -> Response | None:
        """Answer a request for a page or a token that came from `address`; None: it is for neither."""
        if "Upgrade" in request.headers:
            return None
        try:
            url = urlsplit(request.path)
        except ValueError:
            return None
        if url.path == TOKEN_PATH:
            if not self._is_own(request.headers.get_all("Host")):
                text = "tokens are given only to who asks for this gateway by an address or name of its own"
                return _json(MISDIRECTED, {"code": 421, "msg": text, "reason": "FOREIGN_HOST"})
            return self._token(parse_qs(url.query, keep_blank_values=True), address)
        if url.path not in self._bodies:
            return self._lost_page(url.path, request.headers)
        body, kind = self._bodies[url.path]
        return _response(http.HTTPStatus.OK, body, kind, "no-cache")

    def _lost_page(self, path: str, headers: Headers) -> Response | None:
        """Answer a person who looks for what is not there; None: a program, or the gateway's business."""
        if path == SOCKET_PATH or "text/html" not in ", ".join(headers.get_all("Accept")):
            return None
        is_chinese = ", ".join(headers.get_all("Accept-Language")).strip().lower().startswith("zh")
        body = self._lost["zh" if is_chinese else "en"]
        return _response(http.HTTPStatus.NOT_FOUND, body, "text/html", "no-cache")

    def _is_own(self, hosts: list[str]) -> bool:
        """Whether a request is for a name that nobody else can make point here, or that is ours."""
        if len(hosts) != 1:
            return False
        if self._hosts is None:
            return True
        try:
            name = urlsplit(f"//{hosts[0]}").hostname or ""
        except ValueError:
            return False
        return name in self._hosts or name == _LOCAL or name.endswith(f".{_LOCAL}") or _is_address(name)

    def _token(self, query: Mapping[str, list[str]], address: str) -> Response:
        """Make a token for any user and room: what the request says is believed, which only a demo may do."""
        user, room = (query.get(name, [""])[0] for name in ("user", "room"))
        if not (is_valid_id(user) and is_valid_id(room)):
            text = f"user and room, each {ID_RULE}"
            return _json(http.HTTPStatus.BAD_REQUEST, {"code": 400, "msg": text, "reason": "MALFORMED"})
        now = int(time.time())
        end = now + self._ttl_s
        claims = {"sub": user, "iat": now, "exp": end, "rooms": [room], **self._made_for.claims}
        token = jwt.encode(claims, self._secret, algorithm="HS256", headers=self._made_for.header)
        _log.info("demo token given", extra={"user": user, "room": room, "address": address})
        return _json(http.HTTPStatus.OK, {"token": token, "expiresAt": end * 1000})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _json(status: http.HTTPStatus, content: Mapping[str, object]) -> Response:
    return _response(status, json.dumps(content).encode(), "application/json", "no-store")


def _response(status: http.HTTPStatus, body: bytes, kind: str, caching: str) -> Response:
    headers = Headers(
        {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Connection": "close",
            "Cache-Control": caching,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": _POLICY,
        }
    )
    return Response(status.value, status.phrase, headers, body)
