"""The provenance says what went into an image and what came out, in the words of in-toto and SLSA.

How git is asked, and that the digests are those of a real image: tests/containers/test_sbom.py.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.supply_chain.image import base_of, builder_of
from deploy.supply_chain.provenance import LOCKS, Built, Invocation, Source, statement

ROOT: Final = Path(__file__).parents[3]
BASE: Final = "python:3.11-slim-bookworm"
BUILDER: Final = "python:3.11-bookworm"
ASKED: Final = Invocation("tieline:mine", BASE, BUILDER, {"BASE": BASE, "REVISION": "abc"}, "none")
BUILT: Final = Built(
    image_id=f"sha256:{'1' * 64}",
    base_digests=[f"python@sha256:{'2' * 64}"],
    builder_digests=[f"python@sha256:{'3' * 64}"],
    sbom=b"{}",
    started=datetime(2026, 11, 29, 10, 0, 1, 999, tzinfo=UTC),
    finished=datetime(2026, 11, 29, 10, 0, 2, tzinfo=UTC),
    engine="28.2.2",
)


def dependencies(source: Source) -> dict[str, dict[str, Any]]:
    definition = statement(ROOT, source, ASKED, BUILT)["predicate"]["buildDefinition"]
    return {one["name"]: one for one in definition["resolvedDependencies"]}


def test_the_subject_is_the_image() -> None:
    said = statement(ROOT, Source("abc", True, 1), ASKED, BUILT)
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["predicateType"] == "https://slsa.dev/provenance/v1"
    assert said["subject"] == [{"name": "tieline:mine", "digest": {"sha256": "1" * 64}}]


def test_what_was_asked_for_and_when_is_said() -> None:
    predicate = statement(ROOT, Source("abc", True, 1), ASKED, BUILT)["predicate"]
    assert predicate["buildDefinition"]["externalParameters"] == {
        "dockerfile": "deploy/Dockerfile",
        "tag": "tieline:mine",
        "buildArgs": {"BASE": BASE, "REVISION": "abc"},
        "network": "none",
    }
    assert predicate["runDetails"]["metadata"] == {
        "startedOn": "2026-11-29T10:00:01Z",
        "finishedOn": "2026-11-29T10:00:02Z",
    }


def test_base_and_locks_are_there_by_digest() -> None:
    said = dependencies(Source(None, False, 0))
    assert said["base"]["digest"] == {"sha256": "2" * 64}
    assert said["base"]["uri"] == f"docker-image://{BASE}"
    assert said["builder"]["digest"] == {"sha256": "3" * 64}
    assert said["builder"]["uri"] == f"docker-image://{BUILDER}"
    for lock in LOCKS:
        assert said[lock]["digest"] == {"sha256": hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()}


@pytest.mark.parametrize("clean", [True, False])
def test_what_was_not_committed_is_not_hidden(clean: bool) -> None:
    source = dependencies(Source("abc", clean, 1))["source"]
    assert source == {"name": "source", "digest": {"gitCommit": "abc"}, "annotations": {"clean": clean}}


def test_a_source_without_a_commit_is_not_named() -> None:
    assert "source" not in dependencies(Source(None, False, 0))


def test_a_base_that_the_engine_did_not_keep_is_named() -> None:
    built = BUILT._replace(base_digests=[])
    definition = statement(ROOT, Source("abc", True, 1), ASKED, built)["predicate"]["buildDefinition"]
    assert {"name": "base", "uri": f"docker-image://{BASE}"} in definition["resolvedDependencies"]


def test_the_base_is_the_dockerfiles_unless_told_otherwise() -> None:
    assert base_of(ROOT) == BASE


def test_what_compiles_is_the_dockerfiles_with_the_same_python() -> None:
    assert builder_of(ROOT) == BUILDER
    assert BASE.replace("-slim", "") == BUILDER
