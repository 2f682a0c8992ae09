"""What was compiled for an image is what runs in it, or its build fails."""

import sys
import zipfile
from pathlib import Path

import pytest

from deploy.supply_chain.compiled import NotLoadedError, compiled_in, load


def test_what_is_compiled_in_a_wheel_is_named_as_it_is_imported(tmp_path: Path) -> None:
    wheel = tmp_path / "one.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for name in ("a/b.cpython-311-x86_64-linux-gnu.so", "a/b.py", "c__mypyc.cpython-311.so", "a/d.py"):
            packed.writestr(name, "")
    assert compiled_in(wheel) == ["a.b", "c__mypyc"]


def test_what_is_compiled_is_loaded() -> None:
    assert load(["msgspec._core"]) == ["msgspec._core"]


def test_a_source_that_is_loaded_instead_is_refused() -> None:
    with pytest.raises(NotLoadedError, match="json was compiled for another Python"):
        load(["json"])


def test_what_cannot_be_loaded_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"broken_one{'.so'}").write_bytes(b"for another machine")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(NotLoadedError, match="broken_one is not loaded by this Python"):
        load(["broken_one"])
