"""Public keys, and tokens that they verify."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.unit.verification.issuer import EC, ED, ISSUERS, NOW, RSA, Issuer, another, key_set, stranger
from tieline.verification.keys import UnusableKey, read_key_set, read_pem
from tieline.verification.tokens import BadToken, Tokens, UnknownKey

SECRET = "a secret that is long enough for HMAC-SHA256"

every_issuer = pytest.mark.parametrize("issuer", ISSUERS, ids=lambda issuer: issuer.algorithm)


def admits(tokens: Tokens, token: str) -> bool:
    try:
        return tokens.verify(token, NOW).sub == "alice"
    except BadToken:
        return False


def with_set(*issuers: Issuer) -> Tokens:
    tokens = Tokens(fetches=True)
    tokens.fetched = read_key_set(key_set(*(issuer.jwk() for issuer in issuers)))
    return tokens


def problem_of(text: str) -> str:
    with pytest.raises(UnusableKey) as problem:
        read_pem(text)
    return str(problem.value)


# Keys in PEM form.


@every_issuer
def test_a_public_key_says_which_algorithm_it_is_for(issuer: Issuer) -> None:
    (key,) = read_pem(issuer.pem)
    assert (key.algorithm, key.kid) == (issuer.algorithm, None)
    assert admits(Tokens(keys=[key]), issuer.token())
    assert admits(Tokens(keys=[key]), another(issuer, None).token())


def test_several_keys_may_stand_one_after_the_other_also_on_one_line() -> None:
    for text in (f"# ours\n{RSA.pem}\n{ED.pem}", (RSA.pem + ED.pem).replace("\n", "\\n")):
        tokens = Tokens(keys=read_pem(text))
        assert [admits(tokens, issuer.token()) for issuer in (RSA, ED, EC)] == [True, True, False]


def test_what_is_no_public_key_for_tokens_is_named() -> None:
    def pem(public: dsa.DSAPublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    ed448_key = ed448.Ed448PrivateKey.generate().public_key()
    assert problem_of("") == problem_of("rubbish") == "it holds no -----BEGIN PUBLIC KEY-----"
    assert problem_of(RSA.private_pem).startswith("it holds a private key, which belongs to whoever makes")
    assert (
        problem_of(RSA.pem.replace("PUBLIC KEY", "CERTIFICATE")) == "it holds a CERTIFICATE, not a PUBLIC KEY"
    )
    assert problem_of(RSA.pem.replace("MII", "???")).startswith("it cannot be read: ")
    assert "1024 bits is too short" in problem_of(pem(rsa.generate_private_key(65_537, 1024).public_key()))
    assert "secp384r1" in problem_of(pem(ec.generate_private_key(ec.SECP384R1()).public_key()))
    assert "DSA" in problem_of(pem(dsa.generate_private_key(2048).public_key()))
    text = ed448_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert "Ed448" in problem_of(text)


# Key sets.


def test_every_key_of_a_set_verifies_its_own_tokens() -> None:
    tokens = with_set(*ISSUERS)
    assert all(admits(tokens, issuer.token()) for issuer in ISSUERS)
    assert all(admits(tokens, another(issuer, None).token()) for issuer in ISSUERS)
    assert not admits(tokens, another(RSA, "ed").token())
    assert not admits(tokens, stranger("ed").token())


def test_keys_without_names_verify_tokens_of_any_name() -> None:
    tokens = with_set(another(RSA, None), another(ED, None))
    assert admits(tokens, RSA.token())
    assert admits(tokens, another(ED, "whatever").token())


@pytest.mark.parametrize(
    "entry",
    [
        RSA.jwk(use="enc"),
        RSA.jwk(key_ops=["encrypt"]),
        RSA.jwk(key_ops=7),
        RSA.jwk(alg="RS512"),
        RSA.jwk(alg="PS256"),
        RSA.jwk(kty="oct", k="c2VjcmV0"),
        RSA.jwk(kty=None),
        RSA.jwk(n="!"),
        RSA.jwk(n=None),
        RSA.jwk(kid=7),
        EC.jwk(crv="P-384"),
        EC.jwk(x="AAAA"),
        ED.jwk(crv="X25519"),
        {},
    ],
)
def test_a_key_of_a_set_that_is_for_something_else_is_left_out(entry: dict[str, object]) -> None:
    assert [key.kid for key in read_key_set(key_set(entry, EC.jwk(alg="ES256", use="sig")))] == ["ec"]
    with pytest.raises(UnusableKey, match="none of its 1 keys"):
        read_key_set(key_set(entry))


@pytest.mark.parametrize(
    "document",
    [b"", b"<html>", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[1]}', b'{"keys":[]}', b"\xff", b"[" * 9999],
)
def test_what_is_no_key_set_is_an_error(document: bytes) -> None:
    with pytest.raises(UnusableKey):
        read_key_set(document)


# Which algorithm.


@every_issuer
def test_a_public_key_is_no_secret_for_hs256(issuer: Issuer) -> None:
    """Else anybody could make tokens: everybody knows it."""
    header = {"alg": "HS256", "typ": "JWT"}
    signing = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    body = ".".join(
        jwt.utils.base64url_encode(json.dumps(part).encode()).decode()
        for part in (header, {"sub": "alice", "exp": NOW + 60})
    )
    signature = jwt.utils.base64url_encode(signing.sign(body.encode(), issuer.pem.encode())).decode()
    assert not admits(Tokens(keys=read_pem(issuer.pem)), f"{body}.{signature}")
    assert not admits(Tokens(SECRET, keys=read_pem(issuer.pem)), f"{body}.{signature}")


def test_a_key_verifies_by_no_other_algorithm_of_its_kind() -> None:
    for algorithm in ("RS384", "RS512", "PS256"):
        token = Issuer(RSA.private, algorithm, "rsa").token()
        assert not admits(Tokens(keys=read_pem(RSA.pem)), token)
        assert not admits(with_set(RSA), token)
    unsigned = jwt.encode({"sub": "alice", "exp": NOW + 60}, "", "none", {"kid": "rsa"})
    assert not admits(with_set(RSA), unsigned)


def test_secrets_and_keys_are_good_side_by_side() -> None:
    tokens = Tokens(SECRET, keys=read_pem(ED.pem), fetches=True)
    tokens.fetched = read_key_set(key_set(RSA.jwk()))
    shared = jwt.encode({"sub": "alice", "exp": NOW + 60}, SECRET, "HS256")
    named = jwt.encode({"sub": "alice", "exp": NOW + 60}, SECRET, "HS256", {"kid": "rsa"})
    for token in (shared, named, ED.token(), RSA.token()):
        assert admits(tokens, token)
    assert not admits(tokens, EC.token())


# Keys that are not known.


def test_a_name_that_the_set_does_not_have_may_be_known_later() -> None:
    tokens = with_set(RSA)
    for token in (EC.token(), another(EC, None).token()):
        with pytest.raises(UnknownKey):
            tokens.verify(token, NOW)
    tokens.fetched = read_key_set(key_set(EC.jwk()))
    assert admits(tokens, EC.token())
    assert not admits(tokens, RSA.token())


@pytest.mark.parametrize("token", [another(ED, "rsa").token(), RSA.token(exp=NOW), "rubbish", "", "a.b.c"])
def test_a_token_that_no_new_key_could_save_is_simply_bad(token: str) -> None:
    with pytest.raises(BadToken) as problem:
        with_set(RSA).verify(token, NOW)
    assert not isinstance(problem.value, UnknownKey)


def test_where_no_keys_are_fetched_none_is_unknown() -> None:
    with pytest.raises(BadToken) as problem:
        Tokens(SECRET).verify(RSA.token(), NOW)
    assert not isinstance(problem.value, UnknownKey)
