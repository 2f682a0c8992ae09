"""A secret that stands in a file."""

from pathlib import Path

import pytest

from tieline.runtime.secret_files import LONGEST_BYTES, UnusableFile, read_secret

SECRET = "correct horse battery staple"


def kept(folder: Path, content: bytes) -> str:
    file = folder / "secret"
    file.write_bytes(content)
    return str(file)


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (SECRET.encode(), SECRET),
        (SECRET.encode() + b"\n", SECRET),
        (SECRET.encode() + b"\r\n\n", SECRET),
        (b" two words \n", " two words "),
        (b"first\nsecond\n", "first\nsecond"),
        ("用".encode(), "用"),
    ],
)
def test_it_is_what_the_file_holds_without_line_ends_behind_it(
    content: bytes, secret: str, tmp_path: Path
) -> None:
    assert read_secret(kept(tmp_path, content)) == secret


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no text"),
        (b"\n\r\n", "holds no text"),
        (b"sec\0ret", "holds no text"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"s" * (LONGEST_BYTES + 1), "has more than 65536 bytes"),
    ],
)
def test_a_file_without_a_secret_is_named_and_not_shown(content: bytes, problem: str, tmp_path: Path) -> None:
    path = kept(tmp_path, content)
    with pytest.raises(UnusableFile) as found:
        read_secret(path)
    assert str(found.value) == f"{path!r} {problem}"


def test_a_file_that_is_not_there_is_a_mistake_unless_it_need_not_be(tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere")
    with pytest.raises(UnusableFile, match="No such file"):
        read_secret(path)
    assert read_secret(f"-{path}") == ""
    assert read_secret(f"-{kept(tmp_path, b'here')}") == "here"


@pytest.mark.parametrize("optional", ["", "-"])
def test_a_file_that_cannot_be_read_is_a_mistake(optional: str, tmp_path: Path) -> None:
    for path in (str(tmp_path), "with\0zero"):
        with pytest.raises(UnusableFile):
            read_secret(optional + path)
