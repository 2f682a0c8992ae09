"""The checks of the signature that docs/webhooks.md prints, run."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tieline.wire.signatures import headers_of

PAGE = (Path(__file__).parents[3] / "docs/webhooks.md").read_text()
BODY = '[{"id":"大厅"}]'.encode()
SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a plain text")


def printed(language: str) -> str:
    (example,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(example)


def in_python(secret: str, headers: dict[str, str], body: bytes) -> bool:
    names: dict[str, Any] = {}
    exec(printed("python"), names)
    check: Callable[[str, dict[str, str], bytes], bool] = names["is_from_tieline"]
    return check(secret, headers, body)


def in_node(secret: str, headers: dict[str, str], body: bytes) -> bool:
    program = f"{printed('js')}\nconst [secret, headers, body] = JSON.parse(process.argv[1]);\n"
    program += "console.log(isFromTieline(secret, headers, Buffer.from(body, 'utf8')));"
    given = json.dumps([secret, headers, body.decode()])
    done = subprocess.run(["node", "-e", program, given], capture_output=True, text=True, check=True)
    return done.stdout.strip() == "true"


checks = pytest.mark.parametrize(
    "check",
    [
        in_python,
        pytest.param(in_node, marks=pytest.mark.needs("node")),
    ],
)


@checks
def test_the_printed_check_takes_what_is_signed_and_nothing_else(
    check: Callable[[str, dict[str, str], bytes], bool],
) -> None:
    headers = headers_of(SECRETS, "msg_1", int(time.time()), BODY)
    for secret in SECRETS:
        assert check(secret, headers, BODY)
    assert not check("another secret", headers, BODY)
    assert not check(SECRETS[0], headers, BODY.replace(b"id", b"ID"))
    assert not check(SECRETS[0], {**headers, "webhook-id": "msg_2"}, BODY)
    old = headers_of(SECRETS, "msg_1", int(time.time()) - 600, BODY)
    assert not check(SECRETS[0], old, BODY)


@checks
def test_the_printed_check_refuses_what_is_no_delivery(
    check: Callable[[str, dict[str, str], bytes], bool],
) -> None:
    headers = headers_of(SECRETS, "msg_1", int(time.time()), BODY)
    assert not check(SECRETS[0], {}, BODY)
    for sent_at in ("soon", "9" * 5_000):
        assert not check(SECRETS[0], {**headers, "webhook-timestamp": sent_at}, BODY)
    assert not check(SECRETS[0], {**headers, "webhook-signature": "v1,é"}, BODY)
