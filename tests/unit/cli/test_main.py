"""`tieline COMMAND`: which command runs, and how it ends."""

import argparse
import importlib
import shlex
import signal
import sys

import pytest

from tieline import __version__
from tieline.cli import token
from tieline.cli.__main__ import COMMANDS, EXAMPLES, main, with_mode


def test_help_lists_every_command_and_imports_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in COMMANDS.values():
        monkeypatch.setitem(sys.modules, command.module, None)
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said and command.summary in said for name, command in COMMANDS.items())


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tieline {__version__}\n"


@pytest.mark.parametrize("words", [[], ["dance"]])
def test_no_command_or_an_unknown_one_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("words", "command", "unknown"),
    [
        ("kick demo carol", "tieline kick", "carol"),
        ("bench load --url ws://a/ws --acks", "tieline bench", "--acks"),
        ("--json rooms", "tieline", "--json"),
    ],
)
def test_a_word_too_many_is_told_by_the_command(
    words: str, command: str, unknown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    told = f"{command}: unrecognized arguments: {unknown} (--help says what there is)\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert COMMANDS[name].summary in capsys.readouterr().out


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_commands_help_can_be_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert capsys.readouterr().out.endswith(f"for example:\n  {EXAMPLES[name]}\n")
    module = importlib.import_module(COMMANDS[name].module)
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    told = EXAMPLES[name].partition(f"tieline {name}")[2].partition(">")[0]
    parser.parse_args(with_mode([name, *shlex.split(told)], COMMANDS[name].mode)[1:])


def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "tieline.cli.bench.command", raising=False)
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert main(["bench", "--url", "ws://127.0.0.1:1/ws"]) == 1
    assert "tieline bench needs the package 'uvloop'" in capsys.readouterr().err


def test_ctrl_c_ends_with_the_status_of_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(token, "run", interrupted)
    assert main(["token", "alice"]) == 130


def test_ctrl_c_is_heard_as_before_once_a_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    heard_by: list[object] = []

    def listening(_options: argparse.Namespace) -> int:
        heard_by.append(signal.getsignal(signal.SIGINT))
        return 0

    monkeypatch.setattr(token, "run", listening)
    before = signal.getsignal(signal.SIGINT)
    assert main(["token", "alice"]) == 0
    assert heard_by == [before]
