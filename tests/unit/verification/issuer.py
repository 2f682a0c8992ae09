"""An issuer of tokens: with a key pair of each kind, and a key set that names them."""

import json
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

NOW: Final = 1_700_000_000.0

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Issuer:
    """One key pair, of which tokens are made."""

    def __init__(self, private: PrivateKey, algorithm: str, kid: str | None = None) -> None:
        self.private = private
        self.algorithm = algorithm
        self.kid = kid

    def token(self, user: str = "alice", header: dict[str, Any] | None = None, **claims: object) -> str:
        """Make a token that is good at `NOW` for every room, but for `claims`."""
        said = {"sub": user, "exp": NOW + 60, "rooms": "*", **claims}
        named = {} if self.kid is None else {"kid": self.kid}
        return jwt.encode(said, self.private, self.algorithm, {**named, **(header or {})})

    @property
    def pem(self) -> str:
        """The public key, in PEM form."""
        form = PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(Encoding.PEM, form).decode()

    @property
    def private_pem(self) -> str:
        """What gateways must not have."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def jwk(self, **changes: object) -> dict[str, Any]:
        """The public key as an entry of a key set."""
        public: Any = self.private.public_key()
        kinds: dict[str, Any] = {
            "RS256": jwt.algorithms.RSAAlgorithm,
            "ES256": jwt.algorithms.ECAlgorithm,
            "EdDSA": jwt.algorithms.OKPAlgorithm,
        }
        entry = json.loads(kinds[self.algorithm].to_jwk(public))
        named = {} if self.kid is None else {"kid": self.kid}
        return {key: value for key, value in {**entry, **named, **changes}.items() if value is not None}


RSA: Final = Issuer(rsa.generate_private_key(65_537, 2048), "RS256", "rsa")
EC: Final = Issuer(ec.generate_private_key(ec.SECP256R1()), "ES256", "ec")
ED: Final = Issuer(ed25519.Ed25519PrivateKey.generate(), "EdDSA", "ed")
ISSUERS: Final = (RSA, EC, ED)


def another(issuer: Issuer, kid: str | None) -> Issuer:
    """The same key under another name, or none."""
    return Issuer(issuer.private, issuer.algorithm, kid)


def stranger(kid: str | None) -> Issuer:
    """A key that nobody knows."""
    return Issuer(ed25519.Ed25519PrivateKey.generate(), "EdDSA", kid)


def key_set(*entries: dict[str, Any]) -> bytes:
    """Write a key set."""
    return json.dumps({"keys": entries}).encode()
