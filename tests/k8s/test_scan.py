"""A security scanner has nothing to say that has not been answered."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.k8s.rendered import ROOT, each_overlay, text_of
from tests.support.demand import program

EXCEPTIONS = {
    # The tag says which version was tried. Operators with a registry of their own set the digest in `images:`
    # of their overlay; a digest of an image that is built from this repository cannot stand in it.
    "CKV_K8S_43": "Image should use digest",
    # The tags are versions, which do not change: pulling each time makes every start depend on the registry,
    # also the one after a machine has failed.
    "CKV_K8S_15": "Image Pull Policy should be Always",
    # The brokers': nats-server takes the passwords of its configuration from there, once, and starts
    # nobody who would inherit them. Our services read files.
    "CKV_K8S_35": "Prefer using secrets as files over secrets as environment variables",
}
"""What the scanner finds, and why it stays."""


@pytest.mark.needs("kubectl", "checkov")
@each_overlay
def test_the_scanner_finds_what_is_explained_and_nothing_else(overlay: str, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(text_of(ROOT / "deploy/k8s/overlays" / overlay))
    done = subprocess.run(
        [
            str(program("checkov")),
            *("--framework", "kubernetes", "--file", str(manifest), "--output", "json", "--skip-download"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LOG_LEVEL": "ERROR"},
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 300
    assert report["summary"]["parsing_errors"] == 0
    failed = {check["check_id"]: check["check_name"] for check in report["results"]["failed_checks"]}
    assert failed == EXCEPTIONS
