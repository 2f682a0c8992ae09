"""The secret that commands sign tokens with: an option, a variable, or a file that another variable names."""

from collections.abc import Mapping
from typing import Final

from tieline.runtime.secret_files import FILE_SUFFIX
from tieline.runtime.settings import value_or_file
from tieline.tokens import SECRET_VARIABLE

SECRET_FILE_VARIABLE: Final = SECRET_VARIABLE + FILE_SUFFIX


def find_secret(option: str | None, environ: Mapping[str, str]) -> str:
    """Find the secret; empty: there is none.

    Raises:
        SettingsError: the file has no secret, or both variables are set.
    """
    return option or value_or_file(SECRET_VARIABLE, environ)
