"""`tieline bench`: the lines that it prints, and the options that it refuses."""

from pathlib import Path

import pytest

from tieline.cli.__main__ import main
from tieline.cli.bench import line
from tieline.load.figures import RelayFigures
from tieline.tokens import SECRET_VARIABLE

URL = "ws://127.0.0.1:1/ws"


def test_a_measurement_is_one_line() -> None:
    figures = RelayFigures(50, 21_300.4, 2.126, 4.5, {"gateway": 5.04, "load generator": 3.0})
    assert line(figures) == (
        " 50 pairs:  21,300 signals/s, p50 2.13 ms, p99 4.50 ms;"
        " CPU s per 100,000 signals: gateway 5.0, load generator 3.0"
    )
    assert line(RelayFigures(1, 3000, 0.3, 0.5)).startswith("   1 pair: ")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (f"--url {URL}", f"set {SECRET_VARIABLE}"),
        ("--url wss://example.org/ws --secret s", "only ws:// URLs"),
        ("--ready-file /nowhere/ready.json --secret s", "--ready-file /nowhere/ready.json: "),
    ],
)
def test_unusable_options_are_refused(
    words: str, problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    assert main(["bench", *words.split()]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"{}", b'{"gateways": ["\xff"]}'])
def test_a_file_that_tieline_dev_did_not_write_is_refused(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ready.json"
    file.write_bytes(content)
    assert main(["bench", "--ready-file", str(file), "--secret", "s"]) == 2
    assert f"--ready-file {file}: " in capsys.readouterr().err


def test_a_gateway_that_is_not_there_fails_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--url", URL, "--secret", "s" * 32, "--pairs", "1"]) == 1
    assert capsys.readouterr().err.startswith("tieline bench: ConnectionRefusedError: ")
