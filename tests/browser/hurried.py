"""A page that speaks to the gateways of the Python client's tests, and what a test asks of it."""

import json
from typing import Any, Final

from tests.browser.person import Person
from tests.unit.client.resuming_gateways import Backend

COME: Final = """async ({urls, later}) => {
    const {connect} = await import('/tieline.js');
    let number = 0;
    const token = later ? async () => `ann.${number += 1}` : 'ann';
    window.events = [];
    window.client = await connect(urls, {token});
    for (const type of ['reconnecting', 'resumed', 'reset', 'closed', 'error', 'roster', 'tokenexpiring'])
        client.addEventListener(type, ({detail}) => events.push([type, detail?.code ?? detail?.room ?? '']));
}"""

STREAM: Final = "() => { window.stream = new AudioContext().createMediaStreamDestination().stream; }"
"""Something to send that needs no microphone."""


async def come(ann: Person, *urls: str, later: bool = False) -> None:
    """Connect to gateways; `later`: the token comes from a function, another one each time."""
    await ann.page.evaluate(COME, {"urls": urls, "later": later})


async def told(ann: Person, kind: str) -> Any:
    """Wait until the client has told of something; returns it."""
    return await ann.until("(kind) => events.find(([type]) => type === kind)", kind)


def frames(backend: Backend, cmd: str) -> list[str]:
    """What the client has sent of one command."""
    return [frame for frame in backend.received["ann"] if json.loads(frame)["cmd"] == cmd]
