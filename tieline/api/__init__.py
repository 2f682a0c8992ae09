"""The backend's API over HTTP, as both its ends know it.

What goes over the line is in `bodies`, what a caller may do in `scopes`. `Backend` asks (`client`); the
service that answers is `api/`.
"""

from tieline.api.answers import Refused, Unavailable
from tieline.api.client import Backend

__all__ = ["Backend", "Refused", "Unavailable"]
