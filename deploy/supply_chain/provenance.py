"""How an image was built, as an in-toto statement with the predicate of SLSA, version 1.

It says what a build without a service of its own can say: which commit, whether all of it was committed,
which base and which locks, what was asked for, and the digests of what came out. It is not signed: until
somebody signs it, it is worth as much as the place that it is read from.

https://slsa.dev/spec/v1.0/provenance
"""

import hashlib
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"

BUILD_TYPE: Final = "urn:tieline:build:image:1"
"""`docker build` of deploy/Dockerfile; its parameters are those of `Invocation`."""

BUILDER: Final = "urn:tieline:builder:make-image"
"""Whoever runs `make image`, on whatever machine: nobody vouches for it."""

LOCKS: Final = ("deploy/requirements.lock", "deploy/build.lock")
"""What of PyPI goes into the image, and what builds it; in both each file has its hashes."""

Json = dict[str, Any]


class Source(NamedTuple):
    """Of what the image was built."""

    commit: str | None
    """None outside of a repository."""
    clean: bool
    """Whether all of it was committed."""
    changed: int
    """Seconds since 1970, of the commit; 0 outside of a repository."""


class Invocation(NamedTuple):
    """What was asked for."""

    tag: str
    base: str
    builder: str
    """What it is compiled in."""
    build_args: Mapping[str, str]
    network: str | None


class Built(NamedTuple):
    """What came of it, when, and by which engine."""

    image_id: str
    """The engine's, with its algorithm: `sha256:...`."""
    base_digests: Sequence[str]
    """By which a registry knows the base, or its id; none if the engine keeps neither, as BuildKit may."""
    builder_digests: Sequence[str]
    """The same of what it was compiled in."""
    sbom: bytes
    started: datetime
    finished: datetime
    engine: str


def source_of(root: Path) -> Source:
    """Ask git of a folder; what is not a repository has no commit, and is not clean."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return Source(None, False, 0)
        clean = not git("status", "--porcelain", "--untracked-files=normal")
        return Source(git("rev-parse", "HEAD"), clean, int(git("log", "-1", "--format=%ct")))
    except (FileNotFoundError, subprocess.CalledProcessError):
        return Source(None, False, 0)


def statement(root: Path, source: Source, asked: Invocation, built: Built) -> Json:
    """Make the statement."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": asked.tag, "digest": _digest(built.image_id)}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "dockerfile": "deploy/Dockerfile",
                    "tag": asked.tag,
                    "buildArgs": dict(asked.build_args),
                    **({"network": asked.network} if asked.network else {}),
                },
                "internalParameters": {},
                "resolvedDependencies": list(_dependencies(root, source, asked, built)),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"docker": built.engine}},
                "metadata": {"startedOn": _time(built.started), "finishedOn": _time(built.finished)},
                "byproducts": [
                    {
                        "name": "sbom.cdx.json",
                        "mediaType": "application/vnd.cyclonedx+json",
                        "digest": {"sha256": hashlib.sha256(built.sbom).hexdigest()},
                    }
                ],
            },
        },
    }


def _dependencies(root: Path, source: Source, asked: Invocation, built: Built) -> Iterable[Json]:
    if source.commit:
        yield {
            "name": "source",
            "digest": {"gitCommit": source.commit},
            "annotations": {"clean": source.clean},
        }
    images = [("base", asked.base, built.base_digests), ("builder", asked.builder, built.builder_digests)]
    for name, image, digests in images:
        for known in [{"digest": _digest(one)} for one in digests] or [{}]:
            yield {"name": name, "uri": f"docker-image://{image}"} | known
    for name in LOCKS:
        yield {"name": name, "digest": {"sha256": hashlib.sha256((root / name).read_bytes()).hexdigest()}}


def _digest(said: str) -> dict[str, str]:
    """Read `sha256:...`, with or without the name of a repository before it."""
    algorithm, _, value = said.rpartition("@")[2].partition(":")
    return {algorithm: value}


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
