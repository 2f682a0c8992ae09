"""The backend's API over HTTP, as both its ends know it, and what a backend is told.

What goes over the line is in `bodies`, what a caller may do in `scopes`. `Backend` asks (`client`); the
service that answers is `api/`. What `webhooks/` tells a backend it reads with `read_delivery` (`deliveries`).
"""

from tieline.api.answers import Refused, Unavailable
from tieline.api.bodies import Event
from tieline.api.client import Backend
from tieline.api.deliveries import BadDelivery, read_delivery

__all__ = ["Backend", "BadDelivery", "Event", "Refused", "Unavailable", "read_delivery"]
