"""The package for npm, as it would be published, in an application of React and Vite and in a plain page.

Runs where npm can install what npm/package-lock.json names, and says loudly where it cannot.
"""

import functools
import gzip
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser

from tests.browser.browsers import new_context
from tests.browser.conftest import running_system
from tests.browser.person import RING, Person
from tests.support.demand import program, skip_without
from tests.support.http_get import http_get
from tests.support.pages import program_of
from tests.support.process import Process
from tests.support.running_dev import RunningDev
from tests.support.system import SECRET
from tieline.tokens import make_token
from tieline.verification.tokens import Tokens

pytestmark = [pytest.mark.needs("node", "npm"), pytest.mark.timeout(300)]

ROOT: Final = Path(__file__).parents[2]
NPM: Final = Path(__file__).with_name("npm")
PUBLISHED: Final = {"package.json", "README.md", "LICENSE", "tieline.js", "tieline.min.js", "tieline.d.ts"}
LONGEST_BYTES: Final = 15_000
"""Of the minified module, gzipped: web/pack.mjs makes nothing larger."""

SAYS: Final = "([where, words]) => document.querySelector(where)?.textContent === words"


class Application(NamedTuple):
    """The application's folder, with everything installed and built, and where its pages come from."""

    folder: Path
    origin: str
    published: Path


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Pack the package, install it, and build the application."""
    top = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NPM / name, top)
    npm = program("npm")
    assert npm is not None
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund")
    installed = subprocess.run(
        [npm, "ci", *quiet], cwd=top, capture_output=True, text=True, check=False, timeout=240
    )
    if installed.returncode != 0:
        skip_without("npm", f"npm cannot install: {installed.stderr[-500:]}")
    shutil.copytree(ROOT / "web", top / "web", ignore=shutil.ignore_patterns("node_modules"))
    published = top / "published"
    run("node", "pack.mjs", str(published), folder=top / "web")
    (packed,) = json.loads(run(npm, "pack", "--json", str(published), folder=top))
    folder = top / "app"
    shutil.copytree(NPM / "app", folder)
    shutil.copy(ROOT / "web/examples/use-tieline.ts", folder)
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    tarball = str(top / packed["filename"])
    run(npm, "install", "--offline", *quiet, tarball, folder=folder)
    run("node", "../node_modules/typescript/bin/tsc", "-p", ".", folder=folder)
    run("node", "../node_modules/vite/bin/vite.js", "build", folder=folder)
    with served(folder) as origin:
        yield Application(folder, origin, published)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_message: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def dev(application: Application, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    with running_system(tmp_path_factory.mktemp("dev"), ORIGINS=application.origin) as running:
        yield running


async def opened(browser: Browser, dev: RunningDev, page: str, user: str) -> Person:
    one = Person(user, await (await new_context(browser)).new_page(), dev.document["gateways"])
    about = {"url": one.urls[0], "token": make_token(SECRET, user, ["demo"])}
    await one.page.goto(f"{page}?{urlencode(about)}")
    return one


async def test_an_application_of_react_is_rung_and_answers(
    browser: Browser, dev: RunningDev, application: Application
) -> None:
    ann = await opened(browser, dev, f"{application.origin}/dist/index.html", "ann")
    await ann.until(SAYS, ["#room", "connected: 1 here"])
    bob = await Person.open(browser, "bob", dev.document["gateways"])
    await bob.come("demo")
    await ann.until(SAYS, ["#room", "connected: 2 here"])
    await bob.page.evaluate(RING, "ann")
    await ann.until(SAYS, ["#call", "bob ringing"])
    await ann.page.evaluate("() => { document.querySelector('button').click(); }")
    await ann.until(SAYS, ["#call", "bob connected"])
    await bob.hang_up()
    await ann.until(SAYS, ["#call", "bob ended"])
    for one in (ann, bob):
        await one.page.context.close()


async def test_a_plain_page_takes_the_minified_module(
    browser: Browser, dev: RunningDev, application: Application
) -> None:
    cat = await opened(browser, dev, f"{application.origin}/plain.html", "cat")
    await cat.until(SAYS, ["#room", "connected: 1 here"])
    await cat.page.context.close()


async def test_who_sets_up_a_page_is_told_that_its_origin_is_not_listed(
    browser: Browser, dev: RunningDev, application: Application
) -> None:
    with served(application.folder) as origin:
        dan = await opened(browser, dev, f"{origin}/plain.html", "dan")
        await dan.until("() => document.querySelector('#room')?.textContent.includes('UNREACHABLE')")
        await dan.page.context.close()
    hint = f"tieline: a page of {origin} was refused, as its origin is not listed (FOREIGN_ORIGIN)"
    dev.process.until_ready(lambda: hint in dev.errors)


def test_outside_of_a_browser_it_says_that_it_needs_one() -> None:
    connecting = "const {connect} = await import(process.argv[1]); await connect('ws://a/ws', {token: 'b'});"
    catching = f"try {{ {connecting} }} catch ({{reason, message}}) {{ console.log(reason, message); }}"
    program = ("node", "--input-type=module", "--eval", catching, str(ROOT / "web/tieline.js"))
    said = run(*program, folder=ROOT)
    assert said.startswith("WRONG_USE connection: tieline.js needs a browser")


def test_the_package_has_what_it_says_and_nothing_else(application: Application) -> None:
    published = application.published
    assert {path.name for path in published.iterdir()} == PUBLISHED
    described = json.loads((published / "package.json").read_text())
    named = [described["main"], described["types"], described["unpkg"], described["jsdelivr"]]
    exports = described["exports"].values()
    exported = [
        path for entry in exports for path in (entry.values() if isinstance(entry, dict) else [entry])
    ]
    assert {path.removeprefix("./") for path in (*named, *exported)} <= PUBLISHED
    assert "scripts" not in described
    assert described["repository"]["directory"] == "web"
    assert len(gzip.compress((published / "tieline.min.js").read_bytes(), 9)) <= LONGEST_BYTES


def test_links_of_its_readme_lead_into_the_repository(application: Application) -> None:
    readme = (application.published / "README.md").read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", readme)
    paths = [re.sub(r"^https://git\.example\.com/tieline/blob/main/|#.*$", "", link) for link in links]
    assert links
    assert [path for path in paths if path and not (ROOT / path).exists()] == []


def test_a_token_of_the_express_page_admits_its_user(application: Application) -> None:
    (application.folder / "backend.mjs").write_text(program_of("js"))
    environ = {**os.environ, "TIELINE_JWT_SECRET": SECRET, "PORT": "0"}
    log = application.folder / "backend.log"
    backend = Process(["node", "backend.mjs"], log, environ=environ, folder=application.folder)
    try:
        backend.until_ready(lambda: "port:" in backend.output and "}" in backend.output)
        (port,) = re.findall(r"port: (\d+)", backend.output)
        status, token = http_get(int(port), "/token")
    finally:
        backend.kill()
    assert status == 200
    claims = Tokens(SECRET).verify(token, time.time())
    assert (claims.user, set(claims.rooms)) == ("ada", {"room_1"})
