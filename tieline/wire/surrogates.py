"""Read JSON that holds the escapes of lone surrogates, which the decoder refuses. Pure.

JSON allows them, and UTF-8 cannot hold them. So the decoder is given a copy with other escapes in their place
(`masked`), and what it finds is read from the frame itself (`text_in`).
"""

import msgspec

_text = msgspec.json.Decoder(str)
_any = msgspec.json.Decoder(msgspec.Raw)


def masked(frame: bytes) -> bytearray:
    r"""Copy a frame, with a harmless escape in the place of each one of a surrogate, lone or not.

    All of `\ud000` to `\udfff` become `\ue000` to `\uefff`: as long, as correct, and no part of the name of
    a field or of a command, so that the copy has the same fields in the same places. A `Raw` of the decoder
    is a view of what it decodes: the frame is written over the copy, and it holds what was sent.
    """
    return bytearray(frame.replace(b"\\ud", b"\\ue").replace(b"\\uD", b"\\uE"))


def are_in(raw: msgspec.Raw) -> bool:
    """Whether what was correct JSON as it was masked holds lone surrogates as it was written."""
    try:
        _any.decode(raw)
    except msgspec.DecodeError:
        return True
    return False


def text_in(raw: msgspec.Raw) -> str:
    """Read a text; "" if it holds a lone surrogate, or is none."""
    try:
        return _text.decode(raw)
    except msgspec.DecodeError:
        return ""
