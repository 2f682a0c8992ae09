"""The SBOM lists what is in the image and nothing else, and the provenance says of which image it is."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any, Final

import docker
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from deploy.supply_chain.image import PROVENANCE_FILE, SBOM, SBOM_FILE, file_of
from deploy.supply_chain.locks import pins
from deploy.supply_chain.provenance import source_of
from tests.containers.fleet import Images
from tests.containers.images import ROOT
from tests.containers.test_image import run

pytestmark = [pytest.mark.needs("docker", "haproxy", "debootstrap"), pytest.mark.timeout(420)]

INSTALLED: Final = """
import json, platform, subprocess
from importlib.metadata import distributions
query = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n"]
debian = subprocess.run(query, check=True, capture_output=True, text=True)
print(json.dumps({
    "python": [[one.name, one.version] for one in distributions()],
    "debian": [line.split() for line in debian.stdout.splitlines()],
    "interpreter": platform.python_version(),
}))
"""
"""Asks the package managers themselves, of which the SBOM reads the files."""

Json = dict[str, Any]


@pytest.fixture(scope="module")
def sbom(images: Images) -> Json:
    document: Json = json.loads((images.built / SBOM_FILE).read_bytes())
    return document


def listed(sbom: Json, kind: str) -> set[tuple[str, str]]:
    """Names and versions of the components with package URLs of one kind."""
    return {
        (one["name"], one["version"]) for one in sbom["components"] if one["purl"].startswith(f"pkg:{kind}/")
    }


def test_it_is_valid_and_is_what_is_in_the_image(images: Images, sbom: Json) -> None:
    written = (images.built / SBOM_FILE).read_bytes()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written.decode()) is None
    engine = docker.from_env()
    labels = engine.images.get(images.tieline).labels
    engine.close()
    assert labels["tieline.sbom"] == SBOM
    assert file_of(images.tieline, SBOM) == written
    assert sbom["metadata"]["component"]["version"] == labels["org.opencontainers.image.version"]


def test_what_is_installed_is_listed_and_nothing_else(images: Images, sbom: Json) -> None:
    status, said = run(images.tieline, ["-c", INSTALLED], ["python3"])
    assert status == 0, said
    there = json.loads(said)
    python = {(canonicalize_name(name), version) for name, version in there["python"]}
    assert listed(sbom, "pypi") | {one for one in listed(sbom, "generic") if one[0] != "python"} == python
    assert listed(sbom, "deb") == {(name, version) for name, version in there["debian"]}
    assert ("python", there["interpreter"]) in listed(sbom, "generic")


def test_each_package_has_the_hash_of_its_lock(sbom: Json) -> None:
    locked = {pin.name: pin.hashes for pin in pins((ROOT / "deploy/requirements.lock").read_text())}
    packages = [one for one in sbom["components"] if one["purl"].startswith("pkg:pypi/")]
    assert packages
    for one in packages:
        (digest,) = one["hashes"]
        assert digest["content"] in locked[one["name"]]


def test_the_provenance_is_of_this_image_and_this_sbom(images: Images) -> None:
    statement = json.loads((images.built / PROVENANCE_FILE).read_text())
    engine = docker.from_env()
    ids = {name: engine.images.get(name).id for name in (images.tieline, images.base)}
    engine.close()
    (subject,) = statement["subject"]
    assert f"sha256:{subject['digest']['sha256']}" == ids[images.tieline]
    (sbom,) = statement["predicate"]["runDetails"]["byproducts"]
    assert sbom["digest"]["sha256"] == hashlib.sha256((images.built / SBOM_FILE).read_bytes()).hexdigest()
    used = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {"sha256:" + one["digest"]["sha256"] for one in used if one["name"] == "base"} == {
        ids[images.base]
    }


def test_the_source_is_a_commit_and_whether_all_is_in_it(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        named = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.com"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *named, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    assert source_of(tmp_path).commit is None
    git("init", "--quiet")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "One file")
    commit = git("rev-parse", "HEAD")
    assert source_of(tmp_path)[:2] == (commit, True)
    assert source_of(tmp_path).changed == int(git("log", "-1", "--format=%ct"))
    (tmp_path / "another").write_text("not committed")
    assert source_of(tmp_path)[:2] == (commit, False)
    (tmp_path / "inside").mkdir()
    assert source_of(tmp_path / "inside").commit is None
