"""Asking the port for operators of a process, or of a container."""

import http.client

from tests.support.waiting import PATIENCE_S

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
