"""Whether a system limits what each user may ask for.

Over a limit a gateway reads a user no faster, and says nothing. So a load on such a system measures its
limits, and what it finds looks like any other result. The limits are in `gateway.limits`.
"""

import uuid
from typing import Final

from tieline.load.client import LoadError, Target, arrive, within_timeout

ASKED: Final = 21
"""Newer tokens: one more than a user may have in a minute by default. What is over this limit is refused,
where most else only waits; and it takes no second user."""

REFUSAL: Final = "RATE_LIMITED"

NOTE: Final = (
    "the system limits what each user may ask for, so that these figures are those of its limits:"
    " start gateways and routers with TIELINE_LIMITS=off"
)


async def is_limited(target: Target) -> bool:
    """Ask for newer tokens until one is refused. A server without tokens has no such limits.

    Raises:
        UpgradeRefused, OSError, TimeoutError, LoadError: the user does not get in.
    """
    if target.secret is None:
        return False
    user = f"load_{uuid.uuid4().hex[:8]}_asks"
    client = await arrive(target, user, target.sender_url)
    try:
        for number in range(ASKED):
            key = f"{user}_{number}"
            reply = client.notice(key)
            client.connection.send(
                f'{{"requestId":"{key}","module":"ROOM","cmd":"REFRESH_TOKEN",'
                f'"data":{{"token":"{target.token(user)}"}}}}'.encode()
            )
            await within_timeout(reply, f"REFRESH_TOKEN of {user}")
    except LoadError:
        return client.last_refusal == REFUSAL
    finally:
        await client.connection.close()
    return False
