"""Locks are read as pip reads them, and one that pins nothing is refused."""

from pathlib import Path
from typing import Final

import pytest

from deploy.supply_chain.locks import UnpinnedError, pins, pins_for_here

ONE: Final = f"--hash=sha256:{'1' * 64}"
TWO: Final = f"--hash=sha256:{'2' * 64}"


def test_a_line_is_a_version_and_its_hashes() -> None:
    (pin,) = pins(f"# by hand\nPy_JWT[crypto]==2.10 \\\n    {ONE} \\\n    {TWO}\n    # via tieline\n")
    assert (pin.name, pin.version, pin.hashes) == ("py-jwt", "2.10", ("1" * 64, "2" * 64))
    assert pin.is_for_here


@pytest.mark.parametrize(
    "line",
    [
        "uvloop==1.0",
        f"uvloop>=1.0 {ONE}",
        f"uvloop==1.0,!=1.1 {ONE}",
        f"uvloop {ONE}",
        "uvloop==1.0 --hash=md5:11111111111111111111111111111111",
    ],
)
def test_what_is_not_pinned_is_refused(line: str) -> None:
    with pytest.raises(UnpinnedError, match="uvloop"):
        pins(line)


def test_what_is_for_other_systems_is_not_for_here(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        f"uvloop==1 ; python_version > '3' {ONE}\ncolorama==2 ; sys_platform == 'nowhere' {TWO}\n"
    )
    assert list(pins_for_here(lock)) == ["uvloop"]
