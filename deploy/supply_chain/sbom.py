"""The SBOM of the image, as CycloneDX 1.6: all that is installed in it, by name, version, hash and licence.

deploy/Dockerfile runs it in the stage that has the same base and the same packages as the image, and copies
what it writes. It reads what is there, and ends with an error where that is not what the lock names: no list
is written that is not true. The same files make the same bytes; tests/containers/test_sbom.py looks whether
the image has just that.

It does not say what licences Debian's packages have (their texts are in the image, in /usr/share/doc), nor
what is inside a wheel: a library that is compiled into one is not listed apart.
"""

import argparse
import hashlib
import platform
import sys
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.contrib.this.builders import this_component
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from deploy.supply_chain.locks import Pin, pins_for_here

OWN: Final = "tieline"
"""The one package that no lock names."""

NAMESPACE: Final = uuid.UUID("a3f5a0ce-4d1e-5bb2-9d5f-7c1f6f0a2b11")
"""Of the serial numbers, each of which follows from what is listed."""

LONGEST_LICENCE: Final = 100
"""Characters: longer ones in `License` are the text of the licence, not its name."""


class NotAsLockedError(Exception):
    """What is installed is not what the lock names."""


def main() -> None:
    """Write the SBOM to standard output."""
    parser = argparse.ArgumentParser(prog="python -m deploy.supply_chain.sbom", description=__doc__)
    parser.add_argument(
        "--installed", type=Path, required=True, help="the folder that pip has installed into"
    )
    parser.add_argument("--lock", type=Path, required=True, help="what is to be there")
    parser.add_argument("--wheels", type=Path, required=True, help="the files that it was installed from")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the base's var/lib/dpkg is")
    parser.add_argument(
        "--epoch", type=int, default=0, help="when the source was changed last (SOURCE_DATE_EPOCH)"
    )
    asked = parser.parse_args()
    try:
        python = python_components(
            list(distributions(path=[str(asked.installed)])),
            pins_for_here(asked.lock),
            wheel_hashes(asked.wheels),
        )
    except NotAsLockedError as error:
        sys.exit(f"sbom: {error}")
    base = [interpreter(), *debian_components(asked.root)]
    sys.stdout.write(written(python, base, datetime.fromtimestamp(asked.epoch, UTC)))


def wheel_hashes(folder: Path) -> dict[str, str]:
    """Hash the wheels that were installed; returns SHA-256 by the package's name."""
    return {
        parse_wheel_filename(wheel.name)[0]: hashlib.sha256(wheel.read_bytes()).hexdigest()
        for wheel in folder.glob("*.whl")
    }


def python_components(
    installed: Iterable[Distribution], lock: Mapping[str, Pin], hashes: Mapping[str, str]
) -> list[tuple[Component, list[str]]]:
    """List Python's packages, each with the names of those that it needs; `NotAsLockedError` if they differ.

    A wheel that pip has made of a source distribution has a hash that no lock knows: it is listed with none.
    """
    there: dict[str, Distribution] = {canonicalize_name(one.name): one for one in installed}
    versions = {name: one.version for name, one in there.items() if name != OWN}
    wanted = {name: pin.version for name, pin in lock.items()}
    if versions != wanted:
        differ = sorted(dict(versions.items() ^ wanted.items()))
        raise NotAsLockedError(f"not as in the lock: {', '.join(differ)}")
    if OWN not in there:
        raise NotAsLockedError(f"{OWN} is not installed")
    return [
        (_python_component(name, one, hashes.get(name), lock.get(name)), _needs(one, there))
        for name, one in sorted(there.items())
    ]


def _python_component(name: str, one: Distribution, sha256: str | None, pin: Pin | None) -> Component:
    purl = PackageURL("generic" if name == OWN else "pypi", None, name, one.version)
    known = sha256 is not None and pin is not None and sha256 in pin.hashes
    return Component(
        name=name,
        version=one.version,
        type=ComponentType.APPLICATION if name == OWN else ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        description=next(iter(_said(one, "Summary")), None),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if known and sha256 else [],
        licenses=_licences(one),
    )


def _licences(one: Distribution) -> list[License]:
    """What a package says of its licence: an expression, a short name, its classifiers, or a text's title."""
    names = _said(one, "License-Expression")
    if not names:
        names = [name for name in _said(one, "License") if "\n" not in name and len(name) <= LONGEST_LICENCE]
    if not names:
        classifiers = _said(one, "Classifier")
        names = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]
    if not names:
        titles = [text.strip().partition("\n")[0] for text in _said(one, "License")]
        names = [title for title in titles if title and len(title) <= LONGEST_LICENCE]
    declared = LicenseAcknowledgement.DECLARED
    if len(names) == 1:
        return [LicenseFactory().make_from_string(names[0], license_acknowledgement=declared)]
    return [DisjunctiveLicense(name=name, acknowledgement=declared) for name in names]


def _said(one: Distribution, field: str) -> list[str]:
    return one.metadata.get_all(field) or []


def _needs(one: Distribution, there: Mapping[str, Distribution]) -> list[str]:
    """Which of the installed packages a package asks for, with any of its extras."""
    extras = ["", *_said(one, "Provides-Extra")]
    needed = set()
    for line in one.requires or []:
        asked = Requirement(line)
        name = canonicalize_name(asked.name)
        if (
            name in there
            and name != canonicalize_name(one.name)
            and (asked.marker is None or any(asked.marker.evaluate({"extra": e}) for e in extras))
        ):
            needed.add(name)
    return sorted(needed)


def interpreter() -> Component:
    """Describe the Python that runs this, the base's: Debian's, or one that no package manager knows."""
    version = platform.python_version()
    purl = PackageURL("generic", None, "python", version)
    kind = ComponentType.PLATFORM
    return Component(name="python", version=version, type=kind, bom_ref=str(purl), purl=purl)


def debian_components(root: Path) -> list[Component]:
    """List Debian's packages of a root folder; none if its base is not Debian's."""
    status = root / "var/lib/dpkg/status"
    if not status.is_file():
        return []
    release = (root / "etc/os-release").read_text() if (root / "etc/os-release").is_file() else ""
    system = {
        key: value.strip('"') for key, _, value in (line.partition("=") for line in release.splitlines())
    }
    vendor = system.get("ID", "debian")
    distro = f"{vendor}-{system['VERSION_ID']}" if "VERSION_ID" in system else None
    paragraphs = (HeaderParser().parsestr(text) for text in status.read_text().split("\n\n") if text.strip())
    return [
        _debian_component(vendor, distro, one["Package"], one["Version"], one["Architecture"])
        for one in paragraphs
        if one["Status"] == "install ok installed"
    ]


def _debian_component(vendor: str, distro: str | None, name: str, version: str, arch: str) -> Component:
    qualifiers = {"arch": arch, **({"distro": distro} if distro else {})}
    purl = PackageURL("deb", vendor, name, version, qualifiers)
    return Component(name=name, version=version, type=ComponentType.LIBRARY, bom_ref=str(purl), purl=purl)


def written(python: list[tuple[Component, list[str]]], base: Iterable[Component], changed: datetime) -> str:
    """Write the document: the image is its subject, and consists of Python's packages and of its base's."""
    by_name = {one.name: one for one, _ in python}
    own = by_name[OWN]
    image = Component(
        name="tieline-image",
        version=own.version,
        type=ComponentType.CONTAINER,
        bom_ref=f"tieline-image@{own.version}",
        licenses=own.licenses,
        properties=[Property(name="tieline:architecture", value=platform.machine())],
    )
    parts = [*by_name.values(), *base]
    listed = "\n".join(sorted(f"{one.bom_ref} {[str(h.content) for h in one.hashes]}" for one in parts))
    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, f"{changed} {listed}"), components=parts)
    bom.metadata.timestamp = changed
    bom.metadata.component = image
    bom.metadata.tools.components.add(this_component())
    bom.register_dependency(image, parts)
    for one, needed in python:
        bom.register_dependency(one, [by_name[name] for name in needed])
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


if __name__ == "__main__":
    main()
