"""Read a secret from a file, as orchestrators and vaults hand them over: once, when the process starts.

Which settings may stand in a file is up to `settings`. A file that changes later changes nothing: the process
has to be started again, as it has to be for a variable.
"""

from pathlib import Path
from typing import Final

FILE_SUFFIX: Final = "_FILE"
"""What the variable that names a file has behind the name of the one that it stands for."""

OPTIONAL: Final = "-"
"""Before the path of a file that need not be there, as systemd has it for EnvironmentFile."""

LONGEST_BYTES: Final = 65_536
"""Of such a file: a longer one is something else, /dev/zero for one."""


class UnusableFile(Exception):
    """There is no secret in the file; the text says why, and shows nothing of what is in it."""


def read_secret(path: str) -> str:
    """Read a secret, without the line ends behind it; empty: the file need not be there, and is not.

    Raises:
        UnusableFile: there is none.
    """
    is_optional = path.startswith(OPTIONAL)
    file = Path(path.removeprefix(OPTIONAL))
    try:
        with file.open("rb") as opened:
            content = opened.read(LONGEST_BYTES + 1)
    except FileNotFoundError as problem:
        if is_optional:
            return ""
        raise UnusableFile(str(problem)) from None
    except (OSError, ValueError) as problem:
        raise UnusableFile(str(problem)) from None
    if len(content) > LONGEST_BYTES:
        raise UnusableFile(f"{str(file)!r} has more than {LONGEST_BYTES} bytes")
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UnusableFile(f"{str(file)!r} is not UTF-8") from None
    if not text or "\0" in text:
        raise UnusableFile(f"{str(file)!r} holds no text")
    return text
