"""Ask a process's ops endpoint whether it is ready. Its counterpart is `tieline.runtime.ops`."""

import asyncio
from http import HTTPStatus


async def why_not_ready(host: str, port: int) -> str:
    """GET /readyz from the ops port of a process; "" when the process is ready, else what is wrong."""
    try:
        reader, writer = await asyncio.open_connection(host.strip("[]"), port)
    except OSError as error:
        return f"its ops port: {error.strerror or error}"
    try:
        writer.write(f"GET /readyz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        response = await reader.read()
    except OSError as error:
        return f"its ops port: {error.strerror or error}"
    finally:
        writer.close()
    head, _, body = response.partition(b"\r\n\r\n")
    _, _, status = head.partition(b" ")
    if status.startswith(b"%d " % HTTPStatus.OK):
        return ""
    return body.decode(errors="replace").strip() or "its ops port gives no answer"
