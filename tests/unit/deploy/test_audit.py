"""An audit fails for what is known, and tells "nothing is known" from "nothing could be learnt"."""

from pathlib import Path
from typing import Final

import msgspec
import pytest

from deploy.supply_chain.audit import LOCKS, Report, judge
from deploy.supply_chain.locks import pins

ROOT: Final = Path(__file__).parents[3]

REPORT: Final = """{"dependencies": [
    {"name": "jinja2", "version": "2.10", "vulns": [
        {"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": ["CVE-2019-1"], "description": ""},
        {"id": "PYSEC-2021-66", "fix_versions": [], "aliases": [], "description": "..."}]},
    {"name": "uvloop", "version": "0.23.0", "vulns": []},
    {"name": "msgspec", "skip_reason": "Dependency not found on PyPI and could not be audited: msgspec"}
], "fixes": []}"""
"""As pip-audit writes it."""


@pytest.fixture
def report() -> Report:
    return msgspec.json.decode(REPORT, type=Report)


def test_each_advisory_is_a_finding(report: Report) -> None:
    assert judge(report, []).findings == [
        "jinja2 2.10: PYSEC-2019-217, mended in 2.10.1",
        "jinja2 2.10: PYSEC-2021-66, mended in none yet",
    ]


def test_what_is_accepted_by_its_id_is_no_finding(report: Report) -> None:
    assert judge(report, ["PYSEC-2021-66"]).findings == ["jinja2 2.10: PYSEC-2019-217, mended in 2.10.1"]


def test_what_was_skipped_is_unknown_and_not_good(report: Report) -> None:
    assert judge(report, []).unknown == ["msgspec"]


def test_whatever_is_installed_is_in_a_lock_that_is_audited() -> None:
    audited = {(pin.name, pin.version) for lock in LOCKS for pin in pins((ROOT / lock).read_text())}
    for lock in ROOT.glob("**/*.lock"):
        if ".venv" not in lock.parts and "build" not in lock.relative_to(ROOT).parts:
            assert {(pin.name, pin.version) for pin in pins(lock.read_text())} <= audited
