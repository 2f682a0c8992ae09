"""The broker's configuration, as a pod gets it, is one that a real nats-server starts with."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.k8s.rendered import each_overlay, rendered
from tests.support.secured import Prepared
from tieline.cli.dev.broker_process import find_nats_server


@pytest.mark.needs("kubectl", "openssl")
@each_overlay
def test_a_real_server_takes_the_configuration(overlay: str, tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, "nats-0.nats")
    for name, text in rendered(overlay).get("ConfigMap", "nats-config")["data"].items():
        (tmp_path / name).write_text(text.replace("/etc/nats/tls/", f"{tmp_path}/tls/"))
    done = subprocess.run(
        [find_nats_server(os.environ), "-t", "--config", tmp_path / "nats.conf"],
        env={**prepared.environ, **rendered(overlay).environ("nats"), "NATS_NAME": "nats-0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
