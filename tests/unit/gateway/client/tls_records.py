"""Records of TLS 1.3 as no library lets a client write them: empty ones, and changes of keys without an end.

The secret of a client's records is what its own library has written down for debuggers (`keylog_filename`);
how a record is sealed with it is RFC 8446, sections 5.2, 7.2 and 7.3.
"""

import re
import ssl
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.unit.gateway.client.tls_line import trusting_anybody

CIPHER: Final = "TLS_AES_256_GCM_SHA384"
"""What both ends prefer."""

HANDSHAKE, APPLICATION_DATA = b"\x16", b"\x17"
KEY_UPDATE: Final = b"\x18\x00\x00\x01\x00"
"""From now on there are other keys; the other end's may stay."""

CHANGE_CIPHER_SPEC: Final = b"\x14\x03\x03\x00\x01\x01"
"""A record in the clear that says nothing in TLS 1.3, and is passed over during the handshake."""


def writing_down_secrets(file: Path) -> ssl.SSLContext:
    """Make a client's context that writes down its secrets."""
    context = trusting_anybody()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.keylog_filename = str(file)
    return context


class Sealer:
    """Seals a client's records in the place of its library, from the end of the handshake on."""

    def __init__(self, file: Path, written: int) -> None:
        """Take the file with the secret, and how many records the library has written since the handshake."""
        (line,) = re.findall(r"^CLIENT_TRAFFIC_SECRET_0 \w+ (\w+)$", file.read_text(), re.MULTILINE)
        self._secret = bytes.fromhex(line)
        self._written = written

    def sealed(self, kind: bytes, content: bytes = b"") -> bytes:
        """Write one record."""
        inner = content + kind
        head = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        nonce = int.from_bytes(self._derived("iv", 12), "big") ^ self._written
        self._written += 1
        return head + AESGCM(self._derived("key", 32)).encrypt(nonce.to_bytes(12, "big"), inner, head)

    def key_update(self) -> bytes:
        """Write a record that changes the keys, and go on with the new ones."""
        record = self.sealed(HANDSHAKE, KEY_UPDATE)
        self._secret, self._written = self._derived("traffic upd", 48), 0
        return record

    def _derived(self, label: str, size: int) -> bytes:
        name = b"tls13 " + label.encode()
        info = size.to_bytes(2, "big") + bytes((len(name),)) + name + b"\0"
        return HKDFExpand(hashes.SHA384(), size, info).derive(self._secret)
