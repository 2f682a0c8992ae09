"""A key server that answers every request with an error, and counts them."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.support.http_get import HOST


class FailingKeyServer:
    """Serves nothing, on a port of its own, while its `with` block runs."""

    def __enter__(self) -> Self:
        count = self._count = [0]

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path != "/count":
                    count[0] += 1
                    self.send_error(500)
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(str(count[0]).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Answer)
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_port}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
