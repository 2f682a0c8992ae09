"""The SBOM lists what is there, only if that is what the lock names, and the same files make the same bytes.

tests/containers/test_sbom.py compares it with a real image.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from deploy.supply_chain.locks import Pin, pins, pins_for_here
from deploy.supply_chain.sbom import (
    NotAsLockedError,
    debian_components,
    interpreter,
    python_components,
    wheel_hashes,
    written,
)
from tieline import __version__

LOCK: Final = Path(__file__).parents[3] / "deploy/requirements.lock"
CHANGED: Final = datetime(2026, 11, 29, tzinfo=UTC)

STATUS: Final = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: a library
 of several lines

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""

Json = dict[str, Any]


def locked(**versions: str) -> dict[str, Pin]:
    text = "\n".join(f"{name}=={version} --hash=sha256:{'a' * 64}" for name, version in versions.items())
    return {pin.name: pin for pin in pins(text)}


def installed(folder: Path, **packages: str) -> list[Distribution]:
    """Make what pip leaves of each package: `name="version"`, and further lines of its metadata."""
    for name, metadata in {"tieline": "0.2", **packages}.items():
        version, _, more = metadata.partition("\n")
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n{more}\n")
    return list(distributions(path=[str(folder)]))


def document(
    installed: list[Distribution], lock: Mapping[str, Pin], hashes: Mapping[str, str] | None = None
) -> Json:
    text = written(python_components(installed, lock, hashes or {}), [interpreter()], CHANGED)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    said: Json = json.loads(text)
    return said


def component(said: Json, name: str) -> Json:
    (found,) = [one for one in said["components"] if one["name"] == name]
    return dict(found)


def licence(one: Json) -> str:
    """The only licence of a component, by whatever it is called."""
    (said,) = one["licenses"]
    return str(said.get("expression") or said["license"].get("id") or said["license"]["name"])


def test_all_of_the_real_lock_is_listed_with_version_and_hash() -> None:
    lock = pins_for_here(LOCK)
    # What developers have is of the same versions, beside much else.
    named: dict[str, Distribution] = {canonicalize_name(one.name): one for one in distributions()}
    said = document(
        [named[name] for name in [*lock, "tieline"]], lock, {n: p.hashes[0] for n, p in lock.items()}
    )
    for name, pin in lock.items():
        one = component(said, name)
        assert one["purl"] == f"pkg:pypi/{name}@{pin.version}"
        assert one["hashes"] == [{"alg": "SHA-256", "content": pin.hashes[0]}]
        assert one["licenses"]
    assert len(said["components"]) == len(lock) + 2  # tieline, and Python
    assert component(said, "tieline")["version"] == said["metadata"]["component"]["version"] == __version__


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    there = installed(tmp_path, uvloop="1", nats_py="2", msgspec="3")
    lock = locked(uvloop="1", nats_py="2", msgspec="3")
    one = written(python_components(there, lock, {}), [interpreter()], CHANGED)
    other = written(python_components(there[::-1], lock, {}), [interpreter()], CHANGED)
    assert one == other


def test_another_hash_makes_another_serial_number(tmp_path: Path) -> None:
    there, lock = installed(tmp_path, uvloop="1"), locked(uvloop="1")
    serials = {document(there, lock, hashes)["serialNumber"] for hashes in ({}, {"uvloop": "a" * 64})}
    assert len(serials) == 2


@pytest.mark.parametrize(
    "lock",
    [locked(), locked(uvloop="2"), locked(uvloop="1", msgspec="1")],
    ids=["more than locked", "another version", "less than locked"],
)
def test_what_is_not_as_in_the_lock_is_not_listed(tmp_path: Path, lock: Mapping[str, Pin]) -> None:
    with pytest.raises(NotAsLockedError, match=r"uvloop|msgspec"):
        python_components(installed(tmp_path, uvloop="1"), lock, {})


def test_an_image_without_tieline_has_no_list() -> None:
    with pytest.raises(NotAsLockedError, match="tieline is not installed"):
        python_components([], {}, {})


def test_a_hash_that_is_in_no_lock_is_not_told(tmp_path: Path) -> None:
    said = document(installed(tmp_path, uvloop="1"), locked(uvloop="1"), {"uvloop": "b" * 64})
    assert "hashes" not in component(said, "uvloop")


def test_wheels_are_hashed_by_the_names_of_their_packages(tmp_path: Path) -> None:
    (tmp_path / "Nats_Py-2.0-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "requirements.lock").write_text("")
    assert wheel_hashes(tmp_path) == {"nats-py": hashlib.sha256(b"wheel").hexdigest()}


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ("License-Expression: MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("License-Expression: MIT\nLicense: all of the text", "MIT"),
        ("License: BSD-3-Clause", "BSD-3-Clause"),
        (f"License: {'word ' * 30}\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
        ("License: MIT License\n        \n        Permission is hereby granted", "MIT License"),
        ("Classifier: Topic :: Internet\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
    ],
)
def test_a_licence_is_what_the_package_says(tmp_path: Path, metadata: str, told: str) -> None:
    said = document(installed(tmp_path, uvloop=f"1\n{metadata}"), locked(uvloop="1"))
    assert licence(component(said, "uvloop")) == told


def test_who_needs_whom_is_told_for_what_is_there(tmp_path: Path) -> None:
    needs = [
        'Requires-Dist: cryptography>3; extra == "crypto"',
        'Requires-Dist: pyjwt[crypto]; extra == "all"',
        'Requires-Dist: typing_extensions; python_version < "3"',
        "Requires-Dist: not-there",
        "Provides-Extra: crypto",
        "Provides-Extra: all",
    ]
    there = installed(tmp_path, pyjwt="\n".join(["1", *needs]), cryptography="5", typing_extensions="1")
    said = document(there, locked(pyjwt="1", cryptography="5", typing_extensions="1"))
    needed = {one["ref"]: one.get("dependsOn") for one in said["dependencies"]}
    assert needed["pkg:pypi/pyjwt@1"] == ["pkg:pypi/cryptography@5"]
    assert needed["pkg:pypi/cryptography@5"] is None
    assert len(needed[said["metadata"]["component"]["bom-ref"]]) == len(said["components"])


def test_debians_packages_are_those_that_are_installed(tmp_path: Path) -> None:
    assert debian_components(tmp_path) == []
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    (plain,) = debian_components(tmp_path)
    assert str(plain.purl) == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    (named,) = debian_components(tmp_path)
    assert re.search(r"\?arch=amd64&distro=debian-12$", str(named.purl))
