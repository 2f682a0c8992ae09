"""What gateways and presence alike make of the variables about tokens.

What else they make of them is in `tests/unit/gateway/test_settings.py` and that of presence.
"""

import pytest

from tests.unit.verification.issuer import EC, NOW
from tieline.runtime.settings import SettingsError
from tieline.verification.settings import TokenSettings, names_keys, read_tokens
from tieline.verification.tokens import NotForHere, TooManyRooms


@pytest.mark.parametrize(
    ("settings", "are_there"),
    [
        (TokenSettings(), False),
        (TokenSettings(jwt_audience="calls"), False),
        (TokenSettings(jwt_secret="s"), True),
        (TokenSettings(jwt_public_key="k"), True),
        (TokenSettings(jwks_url="u"), True),
    ],
)
def test_keys_are_a_secret_a_public_key_or_where_they_are(settings: TokenSettings, are_there: bool) -> None:
    assert names_keys(settings) is are_there


def test_what_tokens_have_to_be_is_demanded() -> None:
    tokens = read_tokens(TokenSettings(jwt_public_key=EC.pem, jwt_audience="calls"), 1)
    assert tokens.verify(EC.token(aud="calls"), NOW).sub == "alice"
    with pytest.raises(NotForHere):
        tokens.verify(EC.token(aud="mail"), NOW)
    with pytest.raises(TooManyRooms):
        tokens.verify(EC.token(aud="calls", rooms=["hall", "cellar"]), NOW)


def test_what_is_no_key_is_named() -> None:
    with pytest.raises(SettingsError, match="TIELINE_JWT_PUBLIC_KEY"):
        read_tokens(TokenSettings(jwt_public_key=EC.private_pem), 1)
