"""The names of the limits of a user, for metrics and the log. Pure values."""

import enum


class Limit(enum.Enum):
    """Which limit a user has met; the value is the label of `tieline_limited_total`."""

    RATE = "rate"
    BYTES = "bytes"
    PAIR = "pair"
    PAIR_BYTES = "pair_bytes"
    OFFERS = "offers"
    PAIR_OFFERS = "pair_offers"
    REFRESHES = "refreshes"
    ROOMS = "rooms"
    CONNECTS = "connects"
    RESUMES = "resumes"
    FLOODING = "flooding"
