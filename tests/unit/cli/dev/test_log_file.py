"""The one log file of `tieline dev`: whole lines, one writer, and the end of each process's log."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.waiting import until
from tieline.cli.dev.log_file import (
    LONGEST_LINE_BYTES,
    SHOWN_LINE_BYTES,
    SHOWN_LINES,
    LogFile,
    ProcessOutput,
    open_log,
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    log = open_log(tmp_path / "dev.log", {})
    yield log
    log.close()


@asynccontextmanager
async def reading(log: LogFile) -> AsyncIterator[tuple[ProcessOutput, int]]:
    """The output of a process whose end of the pipe is the second value."""
    reading_end, writing_end = os.pipe()
    _, output = await asyncio.get_running_loop().connect_read_pipe(
        lambda: ProcessOutput(log), os.fdopen(reading_end, "rb", buffering=0)
    )
    yield output, writing_end
    os.close(writing_end)


async def test_lines_of_two_processes_never_mix(log: LogFile) -> None:
    one, other = ProcessOutput(log), ProcessOutput(log)
    one.data_received(b"one ")
    other.data_received(b"other line\nanother ")
    one.data_received(b"line\n")
    other.data_received(b"line\n")
    assert log.path.read_text() == "other line\none line\nanother line\n"


async def test_what_a_process_left_unfinished_is_written_at_its_end(log: LogFile) -> None:
    async with reading(log) as (output, pipe):
        os.write(pipe, b"a line\nno end")
    await output.finish(timeout_s=10)
    assert log.path.read_text() == "a line\nno end\n"
    assert output.last_lines == [b"a line", b"no end"]


async def test_a_pipe_that_is_held_open_is_closed_in_the_end(log: LogFile) -> None:
    async with reading(log) as (output, pipe):
        os.write(pipe, b"a line\nno end")
        await until(lambda: output.last_lines)
        await output.finish(timeout_s=0)
        assert log.path.read_text() == "a line\nno end\n"
        with pytest.raises(BrokenPipeError):
            os.write(pipe, b"a late line\n")


async def test_the_last_lines_are_few_and_not_too_long(log: LogFile) -> None:
    output = ProcessOutput(log)
    for number in range(2 * SHOWN_LINES):
        output.data_received(b"%d\n" % number)
    output.data_received(b"x" * 2 * SHOWN_LINE_BYTES + b"\n")
    assert output.last_lines[:-1] == [b"%d" % number for number in range(SHOWN_LINES + 1, 2 * SHOWN_LINES)]
    assert output.last_lines[-1] == b"x" * SHOWN_LINE_BYTES
    assert len(log.path.read_bytes().splitlines()[-1]) == 2 * SHOWN_LINE_BYTES


async def test_a_line_without_end_is_written_in_pieces(log: LogFile) -> None:
    output = ProcessOutput(log)
    output.data_received(b"x" * (LONGEST_LINE_BYTES + 1))
    assert log.path.stat().st_size == LONGEST_LINE_BYTES + 2


def test_a_note_is_shown_and_kept_with_the_end_of_a_log(
    log: LogFile, capsys: pytest.CaptureFixture[str]
) -> None:
    log.note("gateway 1 ended", [b"one", b"two"])
    assert capsys.readouterr() == ("", "tieline: gateway 1 ended\n  | one\n  | two\n")
    assert log.path.read_text() == "tieline: gateway 1 ended\n"


def test_logs_are_shown_only_if_verbose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for is_verbose in (False, True):
        log = open_log(tmp_path / "dev.log", {}, is_verbose)
        log.write(b"a line\n")
        log.note("ended", [b"a line"])
        log.close()
        assert log.path.read_text() == "a line\ntieline: ended\n"
        shown = "a line\ntieline: ended\n" if is_verbose else "tieline: ended\n  | a line\n"
        assert capsys.readouterr().err == shown


def test_who_sets_up_an_application_is_told_why_a_page_is_refused(
    log: LogFile, capsys: pytest.CaptureFixture[str]
) -> None:
    line = b'{"event":"connection refused","reason":"UNAUTHORIZED","why":"forged"}\n'
    log.write(line)
    log.write(line)
    hint = "tieline: a client was refused for its token: forged (UNAUTHORIZED)\n"
    assert capsys.readouterr() == ("", hint)
    assert log.path.read_text() == f"{line.decode()}{hint}{line.decode()}"


def test_an_earlier_log_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "dev.log").write_text("of an earlier run\n")
    log = open_log(tmp_path / "dev.log", {})
    log.write(b"new\n")
    log.close()
    assert log.path.read_text() == "new\n"


def test_a_log_file_has_one_writer(log: LogFile) -> None:
    log.write(b"kept\n")
    with pytest.raises(BlockingIOError):
        open_log(log.path, {})
    assert log.path.read_text() == "kept\n"
    log.close()
    open_log(log.path, {}).close()


def test_a_device_may_be_the_log_file() -> None:
    log = open_log(Path(os.devnull), {})
    log.write(b"a line\n")
    log.close()


def test_a_full_disk_ends_the_logging_and_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("/dev/full")
    log = LogFile(path, path.open("wb", buffering=0))
    log.write(b"a line\n")
    log.write(b"a line\n")
    assert (
        capsys.readouterr().err == "tieline: /dev/full cannot be written any more: No space left on device\n"
    )


@pytest.mark.parametrize(
    ("variable", "folder"), [("XDG_STATE_HOME", "tieline"), ("HOME", ".local/state/tieline")]
)
def test_without_a_path_each_run_has_a_file_of_its_own(variable: str, folder: str, tmp_path: Path) -> None:
    environ = {variable: str(tmp_path)}
    first, second = open_log(None, environ), open_log(None, environ)
    assert first.path == tmp_path / folder / "dev.log"
    assert second.path == tmp_path / folder / "dev-2.log"
    first.close()
    third = open_log(None, environ)
    assert third.path == first.path
    for log in (second, third):
        log.close()


def test_without_a_folder_for_state_it_is_a_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    log = open_log(None, {"XDG_STATE_HOME": os.devnull})
    log.write(b"a line\n")
    log.close()
    assert log.path.parent == tmp_path
    assert log.path.read_text() == "a line\n"
