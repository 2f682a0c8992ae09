"""Admission tokens: minted with the secret that the gateways verify with, if the API is given it."""

import time
from typing import Final

from litestar import post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from api.authority import demands
from api.problems import Refusal, problems
from tieline.api.bodies import Token, TokenOrder
from tieline.tokens import MadeFor, make_token

NO_SECRET: Final = "no admission token can be signed here: TIELINE_JWT_SECRET is not set"  # noqa: S105  # it says that there is none


def token_routes(secret: str, made_for: MadeFor) -> list[ControllerRouterHandler]:
    """Make the routes; an empty `secret`: no token can be minted."""

    @post(
        "/tokens",
        operation_id="mintToken",
        tags=["tokens"],
        summary="Mint a token",
        description=(
            "Makes a token that admits a user to any gateway, for `seconds`, or for as long as gateways let"
            " one live (`TIELINE_TOKEN_MAX_LIFE`) if that is less: `expiresAt` says until when."
        ),
        opt=demands("tokens:write"),
        responses=problems(501),
        raises=[],
        status_code=201,
    )
    async def mint(data: JSONBody[TokenOrder]) -> Token:
        if not secret:
            raise Refusal(501, "NO_SECRET", NO_SECRET)
        try:
            token = make_token(secret, data.user, data.rooms, data.seconds, data.voice, data.join, made_for)
        except ValueError as problem:
            raise Refusal(400, "BAD_ID", str(problem)) from None
        return Token(token=token, expires_at=(int(time.time()) + made_for.life_s(data.seconds)) * 1000)

    return [mint]
