"""`make audit` asks an OSV of this machine: what it finds, and that silence is never good news."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import pytest

from deploy.supply_chain.audit import KNOWN, LOCKS
from deploy.supply_chain.locks import pins

ROOT: Final = Path(__file__).parents[2]

LOCKED: Final = next(pin for pin in pins((ROOT / LOCKS[0]).read_text()) if pin.name == "websockets")
"""A package that is asked for."""


class Osv(ThreadingHTTPServer):
    """Answers as OSV does, with one advisory for each "name==version" that it is told."""

    def __init__(self, *known: str) -> None:
        self.known = known
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/query"


class Answer(BaseHTTPRequestHandler):
    """One question."""

    def do_POST(self) -> None:
        assert isinstance(self.server, Osv)
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        known = f"{name}=={asked['version']}" in self.server.known
        package = {"name": name, "ecosystem": "PyPI"}
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}]
        advisory = {"id": f"PYSEC-0-{name}", "affected": [{"package": package, "ranges": ranges}]}
        said = json.dumps({"vulns": [advisory]} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_said: object) -> None:
        """Say nothing."""


@pytest.fixture
def osv(request: pytest.FixtureRequest) -> Iterator[Osv]:
    with Osv(*request.param) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def audit(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.supply_chain.audit", "--osv-url", url, *options]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("osv", [(KNOWN, f"websockets=={LOCKED.version}")], indirect=True)
def test_an_advisory_for_what_is_locked_fails(osv: Osv) -> None:
    done = audit(osv.url)
    assert done.returncode == 1
    assert f"{LOCKS[0]}: websockets {LOCKED.version}: PYSEC-0-websockets, mended in 99" in done.stderr
    assert f"{LOCKS[1]}: 0 findings" in done.stdout


@pytest.mark.parametrize("osv", [(KNOWN,)], indirect=True)
def test_without_one_it_passes_and_says_what_was_audited(osv: Osv) -> None:
    done = audit(osv.url)
    assert [f"audit: {lock}: 0 findings" in done.stdout for lock in LOCKS] == [True, True, True]
    assert done.returncode == 0


@pytest.mark.parametrize("osv", [()], indirect=True)
@pytest.mark.parametrize(("options", "status"), [((), 0), (("--demand",), 1)])
def test_where_no_advisory_is_known_nothing_was_audited(
    osv: Osv, options: tuple[str, ...], status: int
) -> None:
    done = audit(osv.url, *options)
    assert done.returncode == status
    assert "NOTHING WAS AUDITED" in done.stderr
    assert "findings" not in done.stdout


def test_where_nobody_answers_nothing_was_audited() -> None:
    done = audit("http://127.0.0.1:9/v1/query")
    assert done.returncode == 0
    assert "NOTHING WAS AUDITED" in done.stderr
