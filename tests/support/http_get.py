"""Asking the port for operators of a process, or of a container."""

import http.client

from tests.support.waiting import PATIENCE_S, until_now

HOST = "127.0.0.1"


def http_get(port: int, path: str) -> tuple[int, str]:
    """Ask a port of this machine; returns the status and the body, (0, "") if nothing answers there."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


class FreshMetrics:
    """Reads the metrics of one process as they are now, which a process renders once a second."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._known = ""

    def text(self) -> str:
        """Read `/metrics`; what was read before is not read again. "" if nothing answers there."""
        return until_now(self._newer)[0]

    def _newer(self) -> tuple[str] | None:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text, version = answer.read().decode(), answer.headers["ETag"]
        except (OSError, http.client.HTTPException):
            return ("",)
        finally:
            connection.close()
        if version == self._known:
            return None
        self._known = version
        return (text,)
