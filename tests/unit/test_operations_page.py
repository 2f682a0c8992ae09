"""Procedures of docs/operations.md, step by step, on what they change."""

import json
import re
from typing import Final

from tests.support.pages import DOCS

Secrets = dict[str, str]

_PATCH: Final = re.compile(r"patch secret tieline-jwt -p '(.*)'\n((?:   kubectl .*\n)*)")
_OLD: Final = "THE-OLD-SECRET"


def steps_of(section: str) -> list[tuple[dict[str, dict[str, str | None]], set[str]]]:
    """What each step of a section does to the Secret, and which services start anew with it."""
    text = (DOCS / "operations.md").read_text().partition(f"### {section}\n")[2].partition("\n### ")[0]
    return [
        (json.loads(patch), set(re.findall(r"restart deployment/(\w+)", then)))
        for patch, then in _PATCH.findall(text)
    ]


def patched(secrets: Secrets, patch: dict[str, dict[str, str | None]]) -> Secrets:
    merged = {**secrets, **patch.get("stringData", {}), **patch.get("data", {})}
    return {name: value for name, value in merged.items() if value is not None}


def test_no_good_token_is_refused_while_its_secret_is_changed() -> None:
    now = {"secret": _OLD}
    run = {service: [now] for service in ("gateway", "api")}
    for patch, restarted in steps_of("The secret of the tokens"):
        now = patched(now, patch)
        for service, with_secrets in run.items():
            with_secrets.append(now)  # a process that dies, or is rolled out, starts with what there is
            assert all(api["secret"] in gateway.values() for gateway in run["gateway"] for api in run["api"])
            if service in restarted:
                run[service] = [now]
    assert now == {"secret": "THE-NEW-SECRET"}
    assert run["gateway"] == [now]
