"""docs/asyncapi.json: the client protocol as an AsyncAPI 3 document.

Each command is an operation of the client's (`send`); what comes is one operation (`receive`). Close codes
and refusals before the upgrade, for which AsyncAPI has no words, are extensions of the channel (`x-...`).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from deploy.asyncapi.schemas import Schema, Schemas, sentence
from tieline.wire import envelope, replies
from tieline.wire.codes import CLOSE_REASONS, CloseCode, ErrorCode, HandshakeError, may_reconnect

PATH: Final = Path(__file__).parents[2] / "docs/asyncapi.json"

_PAGE: Final = "docs/protocol.md"

_WELCOME: Final = "WELCOME"

_OPTIONS: Final = {
    "acks": "1: WEBRTC messages are acknowledged",
    "resume": "the resumeToken of the session to go on with, or empty: the client can resume",
    "last": "the requestId of the last message that the client has had",
    "place": "1: the server names places",
    "lastPlace": "the place of the last message that the client has had",
    "roster": "1: changes of rooms come in batches, and lists in pages",
    "calls": "1: calls have names",
    "token": "the JWT, where it is in no header",
}
"""What may stand in the query of the URL."""


_CALL: Final[Schema] = {"type": "string", "description": "With calls=1: which call it is."}

_REFUSAL_BODY: Final[Schema] = {
    "type": "object",
    "required": ["code", "msg", "reason"],
    "properties": {
        "code": {"type": "integer", "description": "The HTTP status."},
        "msg": {"type": "string"},
        "reason": {"type": "string"},
        "limit": {"type": "string", "description": "Of RATE_LIMITED: which limit was met."},
    },
}
"""What a refusal before the upgrade has for a body (`tieline.wire.replies.denial`)."""


def as_json() -> str:
    """The file, as it should be."""
    return json.dumps(document(), ensure_ascii=False, indent=1) + "\n"


def document() -> dict[str, Any]:
    """Put the document together."""
    schemas = Schemas()
    sent = dict(_sent(schemas))
    received = dict(_received(schemas))
    messages = {**sent, **received}
    channel = {"$ref": "#/channels/client"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tieline client protocol",
            "version": "1",
            "description": f"What a client and a gateway say to each other. In words: {_PAGE}, which counts.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "{host}",
                "protocol": "wss",
                "description": "Any gateway, or a load balancer before them.",
                "variables": {"host": {"default": "localhost:8080"}},
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }
        },
        "channels": {
            "client": {
                "address": "/ws",
                "description": "One WebSocket: a JSON object in each text frame.",
                "servers": [{"$ref": "#/servers/gateway"}],
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "query": _query(), "bindingVersion": "0.1.0"}},
                "x-close-codes": [_close_code(code) for code in CloseCode],
                "x-refusals": [_refusal(each) for each in HandshakeError],
                "x-refusal-body": _REFUSAL_BODY,
            }
        },
        "operations": {
            **{
                f"send{name}": {
                    "action": "send",
                    "channel": channel,
                    "messages": [_of_channel(name)],
                    "reply": {"channel": channel, "messages": [_of_channel(each) for each in _answers(name)]},
                }
                for name in sent
            },
            "receive": {
                "action": "receive",
                "channel": channel,
                "messages": [_of_channel(name) for name in received],
            },
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "messages": messages,
            "schemas": schemas.named,
        },
    }


def _sent(schemas: Schemas) -> Iterator[tuple[str, Schema]]:
    for cmd, command in envelope.COMMANDS.items():
        yield cmd, _message(cmd, sentence(command.message), schemas.fields(command.message))


def _received(schemas: Schemas) -> Iterator[tuple[str, Schema]]:
    for cmd, data in replies.REPLIES.items():
        payload = schemas.fields(replies.Success, **_fixed(cmd), data=schemas.of(*data))
        yield f"{cmd}.reply", _message(cmd, f"The reply to {_asked(cmd)}.", payload)
    for cmd, data in replies.EVENTS.items():
        payload = schemas.fields(replies.Success, **_fixed(cmd), data=schemas.of(*data))
        if cmd == _WELCOME:
            payload["properties"]["requestId"] = {"const": ""}  # no event has none
        yield f"{cmd}.event", _message(cmd, "The server's own word.", _with_place(payload))
    for cmd in envelope.SIGNAL_COMMANDS:
        payload = schemas.fields(envelope.COMMANDS[cmd].message)
        yield f"{cmd}.relayed", _message(cmd, "What another user has sent, as it came.", _with_place(payload))
    hangup = schemas.named[replies.HangupBody.__name__]["properties"]
    hangup["call"] = _CALL  # the gateway writes it into what has come (gateway/client/mail.py)
    signals, status = {"enum": list(envelope.SIGNAL_COMMANDS)}, {"enum": ["online", "away"]}
    ack = schemas.fields(
        replies.Ack, **_fixed(""), cmd=signals, data={"type": "null"}, call=_CALL, status=status
    )
    yield "ack", _message("ack", "A WEBRTC message is safe.", ack)
    yield "error", _message("error", "A message is refused.", _error(schemas))


def _error(schemas: Schemas) -> Schema:
    reasons = [
        {
            "properties": {
                "code": {"const": each.code},
                "msg": {"const": each.msg},
                "reason": {"const": each.reason},
            }
        }
        for each in ErrorCode
    ]
    fate = {"enum": sorted(get_args(replies.CallFate)), "description": "What became of the call it names."}
    argument = {"enum": ["after", "limit"], "description": "What is wrong with a MEMBERS."}
    fields = schemas.fields(replies.Error, module={"const": "ROOM"}, fate=fate, argument=argument, call=_CALL)
    return {**fields, "oneOf": reasons}


def _fixed(cmd: str) -> dict[str, Schema]:
    fixed = {"module": "ROOM", "code": 200, "msg": "success", **({"cmd": cmd} if cmd else {})}
    return {name: {"const": value} for name, value in fixed.items()}


def _with_place(payload: Schema) -> Schema:
    place = {"type": "string", "description": "With place=1: how far the client has been sent everything."}
    return {**payload, "properties": {"place": place, **payload["properties"]}}


def _message(name: str, summary: str, payload: Schema) -> Schema:
    return {"name": name, "summary": summary, "contentType": "application/json", "payload": payload}


def _answers(cmd: str) -> tuple[str, ...]:
    reply = envelope.COMMANDS[cmd].reply
    return (f"{reply}.reply" if reply else "ack", "error")


def _asked(reply: str) -> str:
    return next(cmd for cmd, command in envelope.COMMANDS.items() if command.reply == reply)


def _of_channel(name: str) -> Schema:
    return {"$ref": f"#/channels/client/messages/{name}"}


def _query() -> Schema:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": what} for name, what in _OPTIONS.items()},
    }


def _close_code(code: CloseCode) -> dict[str, object]:
    return {"code": code.value, "reason": CLOSE_REASONS[code], "reconnect": may_reconnect(code)}


def _refusal(refusal: HandshakeError) -> dict[str, object]:
    return {"status": refusal.status, "msg": refusal.msg, "reason": refusal.reason}
