"""`tieline completion`: what the shells themselves offer with it."""

import subprocess
from pathlib import Path

import pytest

from tieline.cli.__main__ import COMMANDS, main

OFFERED_BY_BASH = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
words=($(complete -p tieline))
while [ "${words[0]}" != -F ]; do words=("${words[@]:1}"); done
"${words[1]}" tieline "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What is printed for the shell of the test."""
    shell = request.param
    assert main(["completion", shell]) == 0
    path = tmp_path / f"completion.{shell}"
    path.write_text(capsys.readouterr().out)
    return path


def offered_by_bash(script: Path, *words: str) -> set[str]:
    """List what bash offers behind these words, the last of which is begun."""
    ran = subprocess.run(
        ["bash", "--norc", "-c", OFFERED_BY_BASH, "bash", script, *words],
        check=True,
        capture_output=True,
        text=True,
        cwd=script.parent,
    )
    assert ran.stderr == ""
    return {*ran.stdout.split()}


in_bash = pytest.mark.parametrize("script", ["bash"], indirect=True)


@in_bash
def test_bash_offers_every_command_and_its_options(script: Path) -> None:
    assert offered_by_bash(script, "tieline", "") >= {*COMMANDS}
    assert offered_by_bash(script, "tieline", "ta") == {"tail"}
    assert offered_by_bash(script, "tieline", "tail", "--") >= {"--user", "--room", "--json"}
    assert offered_by_bash(script, "tieline", "kick", "--r") == {"--room"}
    assert offered_by_bash(script, "tieline", "bench", "st") == {"storm"}
    assert offered_by_bash(script, "tieline", "completion", "") >= {"bash", "zsh", "fish"}


@in_bash
def test_bash_offers_files_where_an_option_is_one(script: Path) -> None:
    (script.parent / "ready.json").touch()
    assert offered_by_bash(script, "tieline", "dev", "--ready-file", "rea") == {"ready.json"}
    assert "ready.json" not in offered_by_bash(script, "tieline", "kick", "rea")


@pytest.mark.needs("fish")
@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_offers_commands_and_options(script: Path) -> None:
    def offered(line: str) -> set[str]:
        asks = 'source $argv[1]; complete --do-complete "$argv[2]"'
        ran = subprocess.run(
            ["fish", "--no-config", "-c", asks, script, line], check=True, capture_output=True, text=True
        )
        return {each.split("\t")[0] for each in ran.stdout.splitlines()}

    assert offered("tieline ta") >= {"tail"}
    assert offered("tieline tail --") >= {"--user", "--room", "--json"}


@pytest.mark.needs("zsh")
@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_understands_what_it_is_given(script: Path) -> None:
    subprocess.run(["zsh", "-f", "-n", script], check=True)
    asks = 'autoload -U compinit; compinit -D -u; eval "$(<$1)"; print -r -- $_comps[tieline]'
    ran = subprocess.run(["zsh", "-f", "-c", asks, "zsh", script], check=True, capture_output=True, text=True)
    assert ran.stdout.strip()
