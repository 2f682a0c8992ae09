"""What a gateway grants every client alike, as its settings have it. Pure values."""

from typing import Final, NamedTuple

from gateway.client.broker_time import BrokerTime
from gateway.client.ice_servers import IceServers
from tieline.verification.tokens import Tokens

UNKNOWN_TIME: Final = BrokerTime()


class Pace(NamedTuple):
    """How often a client is asked whether it lives, in seconds."""

    ping_interval_s: float = 25.0
    """Below the 30 s after which mobile networks and some balancers forget a silent connection."""
    pong_timeout_s: float = 8.0
    """For the answer: long enough for a phone that changes networks."""


class Terms(NamedTuple):
    """What every client is granted, how often it is asked for a sign of life, and which tokens count."""

    ice_servers: IceServers
    tokens: Tokens
    pace: Pace = Pace()
    resume_window_s: float = 30.0
    """How long presence keeps the session of a client that was lost."""
    broker_time: BrokerTime = UNKNOWN_TIME
    """Which messages are said to have come at."""
