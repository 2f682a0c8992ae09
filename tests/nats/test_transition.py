"""From 0.1.0 on gateways move to an account of their own, while nodes are restarted one after the other."""

from collections.abc import Iterator

import pytest
from nats.aio.msg import Msg

from tests.nats.conftest import NAMESPACE as NS
from tests.support.partitions import partitions
from tests.support.secured import Intruder, SecuredCluster
from tests.support.waiting import until_true
from tieline.cli.permissions import accounts
from tieline.runtime.message import NO_RESPONDERS

pytestmark = pytest.mark.needs("openssl")

ALIVE = f"{NS}.gateway.moved.alive"
REPLY = f"{NS}.presence.asking.reply.1"


@pytest.fixture(scope="module")
def half_way(cluster: SecuredCluster) -> Iterator[SecuredCluster]:
    """The cluster when its first node has both accounts, and the others have gateways in the second one."""
    cluster.restart_with(0, accounts(NS, is_transition=True, partitions=partitions()))
    yield cluster
    cluster.restart_with(0, accounts(NS, partitions=partitions()))


@pytest.mark.parametrize(("gateway_at", "presence_at"), [(0, 1), (1, 0), (1, 2)])
async def test_half_way_gateways_and_presence_hear_each_other(
    half_way: SecuredCluster, gateway_at: int, presence_at: int
) -> None:
    async with (
        Intruder.as_user(half_way, "gateway", gateway_at) as gateway,
        Intruder.as_user(half_way, "presence", presence_at) as presence,
    ):
        answers: list[bytes] = []

        async def answer(question: Msg) -> None:
            await gateway.client.publish(question.reply, b"I do")

        async def hear(message: Msg) -> None:
            if (message.headers or {}).get(
                "Status"
            ) != NO_RESPONDERS:  # the node's word that nobody listens yet
                answers.append(message.data)

        await gateway.client.subscribe(ALIVE, cb=answer)
        await presence.client.subscribe(REPLY, cb=hear)
        assert await gateway.told() == await presence.told() == []

        async def asked() -> list[bytes]:
            await presence.client.publish(ALIVE, b"do you live?", reply=REPLY)
            assert await presence.told() == []
            return answers

        # Nodes tell each other in their own time what is listened to: so it is asked again.
        assert set(await until_true(asked)) == {b"I do"}
