"""The secret that commands sign tokens with: an option, a variable, or a file that another variable names."""

from collections.abc import Mapping
from typing import Final

from tieline.runtime.secret_files import FILE_SUFFIX
from tieline.runtime.settings import value_or_file
from tieline.runtime.weak_secrets import sentences_about
from tieline.tokens import SECRET_VARIABLE

SECRET_FILE_VARIABLE: Final = SECRET_VARIABLE + FILE_SUFFIX


def find_secret(option: str | None, environ: Mapping[str, str]) -> str:
    """Find the secret; empty: there is none.

    Raises:
        SettingsError: the file has no secret, or both variables are set.
    """
    return option or value_or_file(SECRET_VARIABLE, environ)


NO_SECRET: Final = (
    f"set {SECRET_VARIABLE} to the secret that the gateways have, or {SECRET_FILE_VARIABLE} to a file with"
    " it, or give --secret"
)


def doubts(option: str | None, secret: str, environ: Mapping[str, str]) -> list[str]:
    """Say what is odd about the secret that was found."""
    variable = SECRET_VARIABLE if environ.get(SECRET_VARIABLE) else SECRET_FILE_VARIABLE
    return sentences_about("--secret" if option else variable, secret)
