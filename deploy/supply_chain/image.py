"""`make image`: build the image, and write its SBOM and its provenance beside it.

    python -m deploy.supply_chain.image --tag tieline:mine --out build/image

`docker build` alone makes the same image, with an SBOM inside; what it lacks are the revision in a label, the
time of the source in the SBOM, and the provenance. Written are `sbom.cdx.json`, a copy of what is in the
image, and `provenance.json`.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deploy.supply_chain.provenance import Built, Invocation, source_of, statement

ROOT: Final = Path(__file__).parents[2]

SBOM: Final = "/usr/share/doc/tieline/sbom.cdx.json"
"""Where deploy/Dockerfile puts it; its label `tieline.sbom` says so."""

SBOM_FILE: Final = "sbom.cdx.json"
PROVENANCE_FILE: Final = "provenance.json"


def main() -> None:
    """Build as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m deploy.supply_chain.image", description=__doc__)
    parser.add_argument("--tag", required=True, help="what the image is called")
    parser.add_argument("--base", help="what it is built on, best with a digest; else the Dockerfile's")
    parser.add_argument(
        "--builder", help="what compiles, best with a digest; else the base, or the Dockerfile's"
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write SBOM and provenance to")
    parser.add_argument("--context", type=Path, default=ROOT, help="the top of the source")
    parser.add_argument("--network", help="as `docker build` has it: `none`, say")
    asked = parser.parse_args()
    try:
        base = asked.base or base_of(asked.context)
        builder = asked.builder or asked.base or builder_of(asked.context)
        build(asked.context, asked.tag, base, asked.out, asked.network, builder=builder)
    except subprocess.CalledProcessError as error:
        sys.exit(f"image: {' '.join(error.cmd[:3])} ... ended with {error.returncode}")


def build(
    context: Path, tag: str, base: str, out: Path, network: str | None = None, *, builder: str | None = None
) -> None:
    """Build an image, and write its SBOM and its provenance beside it; `CalledProcessError` if that fails.

    `builder` is what it is compiled in; None: its base, and if that has no compiler nothing is compiled.
    """
    source = source_of(context)
    revision = f"{source.commit}{'' if source.clean else '-dirty'}" if source.commit else ""
    compiles_in = builder or base
    build_args = {
        "BASE": base,
        "BUILDER": compiles_in,
        "REVISION": revision,
        "SOURCE_DATE_EPOCH": str(source.changed),
    }
    command = ["docker", "build", "--file", str(context / "deploy/Dockerfile"), "--tag", tag]
    for name, value in build_args.items():
        command += ["--build-arg", f"{name}={value}"]
    if network:
        command += ["--network", network]
    started = datetime.now(UTC)
    subprocess.run([*command, str(context)], check=True)
    finished = datetime.now(UTC)
    sbom = file_of(tag, SBOM)
    built = Built(
        image_id=_said("image", "inspect", "--format", "{{.Id}}", tag),
        base_digests=_digests(base),
        builder_digests=_digests(compiles_in),
        sbom=sbom,
        started=started,
        finished=finished,
        engine=_said("version", "--format", "{{.Server.Version}}"),
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / SBOM_FILE).write_bytes(sbom)
    said = statement(context, source, Invocation(tag, base, compiles_in, build_args, network), built)
    (out / PROVENANCE_FILE).write_text(json.dumps(said, indent=1) + "\n")


def base_of(context: Path) -> str:
    """Read on what deploy/Dockerfile builds unless it is told otherwise."""
    return _default(context, r"^FROM \$\{BASE:-([^}]+)\}$")


def builder_of(context: Path) -> str:
    """Read in what deploy/Dockerfile compiles unless it is told otherwise."""
    return _default(context, r"^ARG BUILDER=\$\{BASE:-([^}]+)\}$")


def _default(context: Path, pattern: str) -> str:
    found = re.search(pattern, (context / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def file_of(image: str, path: str) -> bytes:
    """Read a file of an image, of which nothing is run."""
    container = _said("create", image, "nothing")
    try:
        copied = subprocess.run(["docker", "cp", f"{container}:{path}", "-"], check=True, capture_output=True)
    finally:
        _said("rm", container)
    with tarfile.open(fileobj=io.BytesIO(copied.stdout)) as archive:
        member = archive.extractfile(archive.next() or path)
        assert member is not None
        return member.read()


def _digests(image: str) -> list[str]:
    """List the digests by which a registry knows an image: what none knows has its id instead."""
    asked = ["docker", "image", "inspect", "--format", "{{json .}}", image]
    done = subprocess.run(asked, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        return [image] if "@" in image else []
    said = json.loads(done.stdout)
    return said.get("RepoDigests") or [said["Id"]]


def _said(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
