"""Lists and changes of a room as a gateway sends them, for the tests of both clients."""

from tests.unit.client.minimal_gateway import Frame


def member(user: str, status: str = "online") -> Frame:
    """One member; the time of joining is 1."""
    return {"userId": user, "status": status, "voice": True, "joinedAt": 1}


def listed(number: int, *users: str, room: str = "demo", **more: object) -> Frame:
    """Make the `data` of a list, or of a page of it. Number 0: a server that knows no numbers."""
    numbered = {"number": number} if number else {}
    return {"room": room, "members": [member(user) for user in users], **numbered, **more}


def changed(
    number: int,
    *,
    joined: str = "",
    left: str = "",
    updated: str = "",
    status: str = "away",
    room: str = "demo",
) -> Frame:
    """Make the `data` of a ROOM_CHANGED that tells of changes; several users have spaces between them."""
    return {
        "room": room,
        "number": number,
        "joined": [member(user) for user in joined.split()],
        "left": [{"userId": user, "reason": "left"} for user in left.split()],
        "updated": [member(user, status) for user in updated.split()],
    }
