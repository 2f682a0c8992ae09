"""Events and webhooks with the rights that presence and workers have, and no others."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE

import pytest

from tests.nats.conftest import NAMESPACE
from tests.support.frames import HANGUP, OFFER
from tests.support.receiver import SECRET, Receiver
from tests.support.resuming import ResumingPeople
from tests.support.secured import SecuredCluster
from tests.support.system import System
from tests.support.waiting import until

pytestmark = pytest.mark.needs("openssl")


async def test_a_call_is_told_and_a_dead_letter_told_again(
    people: ResumingPeople, system: System, cluster: SecuredCluster
) -> None:
    logged = len(system.log)
    async with Receiver().listening() as receiver:
        told = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": SECRET, "WEBHOOK_PRIVATE": "1"}
        settings = {**told, "WEBHOOK_RETRY_FOR": "0.001", **cluster.prepared.login("webhooks")}
        receiver.manner = "refuses"
        with system.extra("webhooks", **settings) as worker:
            await until(lambda: worker.count("tieline_webhook_endpoints") == 1)
            alice = await people.in_room("alice", gateway=0)
            bob = await people.in_room("bob", gateway=1)
            await alice.relays(OFFER, bob)
            await alice.relays(HANGUP, bob)
            await until(lambda: worker.count("tieline_webhook_events_total", outcome="dead") >= 2)
            receiver.manner = "takes"
            common = {"NATS_URL": cluster.url, "NAMESPACE": NAMESPACE}
            environ = {f"TIELINE_{name}": value for name, value in {**settings, **common}.items()}
            command = [sys.executable, "-m", "tieline.cli", "webhooks", "replay", "settings"]
            process = await asyncio.create_subprocess_exec(
                *command, env={**os.environ, **environ}, stdout=PIPE, stderr=PIPE
            )
            _, said = await process.communicate()
            assert process.returncode == 0, said
            expected = {"tieline.call.offered", "tieline.call.unanswered"}
            await until(lambda: expected <= {event["type"] for event in receiver.taken})
    new = system.log[logged:].lower().splitlines()
    refused = [line for line in new if "permissions violation" in line]
    assert not [line for line in refused if "gateway.intruder.reply" not in line]  # that is another test's
