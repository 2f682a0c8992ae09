"""Secrets are changed as docs/operations.md says, during calls that notice nothing."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.errors import Error as NatsError

from tests.support.frames import CANDIDATE
from tests.support.people import Person, establish
from tests.support.resuming import ResumingPeople, up_to_the_end
from tests.support.secured import KINDS, NODES, Intruder, Prepared, SecuredCluster
from tests.support.system import Kind, Service, System
from tests.support.waiting import until

pytestmark = pytest.mark.needs("openssl")

NEW = {f"TIELINE_{kind.upper()}_PASSWORD": f"pnew{kind}" for kind in KINDS}


@pytest.fixture
def rotating(tmp_path: Path) -> Iterator[SecuredCluster]:
    with SecuredCluster.in_namespace(tmp_path, "rotating") as running:
        yield running


@pytest.fixture
def system(rotating: SecuredCluster, tmp_path: Path) -> Iterator[System]:
    folder = tmp_path / "system"
    folder.mkdir()
    own = {kind: rotating.prepared.login(kind) for kind in KINDS}
    settings = {"NAMESPACE": "rotating", "REPLICAS": "3"}
    with System(rotating.url, folder, settings=settings, own_settings=own) as running:
        yield running


def replace(system: System, kind: Kind) -> None:
    """Start a process with the new password; the old one goes when that is ready."""
    (old,) = system.all(kind)
    system.add(kind, NATS_PASSWORD=NEW[f"TIELINE_{kind.upper()}_PASSWORD"])
    system.processes.remove(old)
    old.terminate()
    assert old.wait() == 0


def all_ready(processes: list[Service]) -> bool:
    return all(process.is_ready() for process in processes)


async def talk(*pair: Person) -> None:
    """Let a candidate go each way."""
    one, other = pair
    await one.relays(CANDIDATE, other)
    await other.relays(CANDIDATE, one)


@pytest.mark.timeout(240)
async def test_passwords_are_changed_under_calls_that_go_on(rotating: SecuredCluster, system: System) -> None:
    async with ResumingPeople(system) as people:
        alice = await people.in_room("alice")
        bob = await people.in_room("bob")
        await establish(alice, bob)
        for nth in (2, 1):
            rotating.restart(nth, **NEW)
            await until(lambda: all_ready(system.processes))
            await talk(alice, bob)
        for kind in ("presence", "router"):
            replace(system, kind)
            await talk(alice, bob)
        replace(system, "gateway")
        people.ports = system.ports
        for person in (alice, bob):
            assert (await up_to_the_end(person))[1].code == 1012
        again = [await people.resume(person, "") for person in (alice, bob)]
        assert all(person.welcome["resumed"] for person in again)
        rotating.restart(0, **NEW)
        await until(lambda: all_ready(system.processes))
        async with ResumingPeople(system) as others:
            carol = await others.in_room("carol")
            dave = await others.in_room("dave")
            await establish(carol, dave)
            await talk(carol, dave)
    for kind in KINDS:
        with pytest.raises(NatsError):  # with the old password
            async with Intruder.as_user(rotating, kind):
                pass


def test_the_next_certificate_is_of_the_same_authority(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, *NODES)
    before = prepared.ca.read_bytes(), (tmp_path / ".env").read_bytes()
    certificate = tmp_path / "tls/tls.crt"
    old = certificate.read_bytes()
    certificate.unlink()
    Prepared(tmp_path, *NODES)
    assert (prepared.ca.read_bytes(), (tmp_path / ".env").read_bytes()) == before
    assert certificate.read_bytes() != old
    subprocess.run(
        ["openssl", "verify", "-CAfile", prepared.ca, certificate], check=True, capture_output=True
    )
