"""Certificates for tests: signed by themselves, so that a client that trusts one trusts nobody else."""

import datetime as dt
import ssl
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.support.http_get import HOST

NAME: Final = "gateway.test"


class Pair(NamedTuple):
    """A certificate and its key, in files, as PEM."""

    certificate: Path
    key: Path

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this certificate alone, whoever shows it."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        return context

    def write_over(self, other: "Pair") -> None:
        """Put this pair in the place of another, as whoever renews it does."""
        other.certificate.write_bytes(self.certificate.read_bytes())
        other.key.write_bytes(self.key.read_bytes())


def self_signed(
    folder: Path,
    name: str = NAME,
    days: float = 30,
    password: bytes | None = None,
    begins_in_days: float = -1,
) -> Pair:
    """Make a certificate that is good for so many days from now, or has expired; the key may be encrypted.

    It is good since yesterday, or from another day on.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    end = now + dt.timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, end) + dt.timedelta(days=begins_in_days))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encryption: KeySerializationEncryption = NoEncryption()
    if password is not None:
        encryption = BestAvailableEncryption(password)
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return pair
