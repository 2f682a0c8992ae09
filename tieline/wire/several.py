"""Take what a caller gives as several texts, and never the letters of one. Pure.

To Python a text is a sequence of texts, and to a type checker, too: of `secrets="abc"` each letter would be a
secret, by which anybody can sign, and of `rooms="lobby"` each letter would be a room.
"""

from collections.abc import Iterable


def several(what: str, given: Iterable[str]) -> tuple[str, ...]:
    """Return all the texts that are given as `what`, in their order.

    Raises:
        TypeError: it is one text or bytes, or not all of it is text. What is given is not repeated: it may be
            a secret.
    """
    if isinstance(given, str | bytes | bytearray | memoryview):
        raise TypeError(f"{what}: a list of texts is wanted, and this is one {type(given).__name__}")
    texts = tuple(given)
    for each in texts:
        if not isinstance(each, str):
            raise TypeError(f"{what}: a list of texts is wanted, and one of them is {type(each).__name__}")
    return texts
