"""Read a process's settings from its environment, once, in its `__main__`.

A settings class is a frozen `msgspec.Struct`; its field `offer_timeout` is the variable
`TIELINE_OFFER_TIMEOUT`. Durations are seconds. A field that is a secret may stand in a file instead, which
another variable names: `secret_files`.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Final, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from tieline.runtime.secret_files import FILE_SUFFIX, UnusableFile, read_secret

PREFIX: Final = "TIELINE_"

LONGEST_S: Final = 31_536_000.0
"""A year, longer than anything here lasts; it refuses `inf`, which is a float too."""

Seconds = Annotated[
    float, msgspec.Meta(gt=0, le=LONGEST_S, description="a number of seconds above 0, at most a year")
]
NotNegative = Annotated[float, msgspec.Meta(ge=0, description="a number of seconds, 0 or more")]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535, description="a port, 0 to 65535")]
Count = Annotated[int, msgspec.Meta(ge=0, description="a whole number, 0 or more")]
Positive = Annotated[int, msgspec.Meta(ge=1, description="a whole number, 1 or more")]
Partitions = Annotated[int, msgspec.Meta(ge=1, le=64, description="a whole number, 1 to 64")]
"""More would be many small streams: what is asked of all partitions is asked so often."""
# The description of a type is what the user is told is allowed.

_HIDDEN: Final = "hidden"
_SIGNS: Final = "signs"
Password = Annotated[str, msgspec.Meta(description="a text", extra={_HIDDEN: True})]
"""A secret that only the other end can try out."""
SigningSecret = Annotated[str, msgspec.Meta(description="a text", extra={_HIDDEN: True, _SIGNS: True})]
"""A secret with which something is signed that others hold: they can try out guesses by themselves."""

ALIKE: Final = 0.9
"""The similarity from which a name counts as another one misspelt; one letter more makes 0.95."""

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


class SettingsError(ValueError):
    """A setting is missing, or unusable here; the text names the variable and says what is wrong."""


class BrokerLogin(NamedTuple):
    """How a process and the broker authenticate to each other. Each field may be empty: then they do not."""

    user: str = ""
    password: str = ""
    ca: str = ""
    """A file with the certificates of authorities that may sign the broker's; with it, TLS is demanded."""
    certificate: str = ""
    """A file with this process's own certificate, for a broker that demands one; with it, TLS is demanded."""
    key: str = ""
    """A file with the key of that."""

    def __repr__(self) -> str:
        password = "..." if self.password else ""
        files = f"ca={self.ca!r}, certificate={self.certificate!r}, key={self.key!r}"
        return f"BrokerLogin(user={self.user!r}, password={password!r}, {files})"


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every process needs to know."""

    nats_url: str = "nats://127.0.0.1:4222"
    """One URL, or several with commas between them. `tls://` demands TLS."""
    nats_user: str = ""
    nats_password: Password = ""
    nats_ca: str = ""
    """A file; see `BrokerLogin`."""
    nats_cert: str = ""
    nats_key: str = ""
    """Files; see `BrokerLogin`. They go together."""
    namespace: Annotated[
        str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]+\Z", description="letters of ASCII, digits, _ and -")
    ] = "tieline"
    """The first token of every subject, and the name of the bucket: several systems may share a broker."""
    partitions: Partitions = 1
    """Of the mailbox and of the bucket: each is so many streams, which share the users; all processes must
    have the same."""
    ops_host: str = "127.0.0.1"
    """Where /metrics, /healthz and /readyz are served; 0.0.0.0 inside a container."""
    ops_port: Port = 0
    """0: any free port; the log's first line names it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    limits: Literal["on", "off"] = "on"
    """off: nobody is limited in what it asks for, for benchmarks and networks where all are trusted."""
    allow_weak_secrets: bool = False
    """Start also with secrets that anybody can guess."""

    @property
    def nats_login(self) -> BrokerLogin:
        """How this process logs in, and how the broker must authenticate."""
        return BrokerLogin(self.nats_user, self.nats_password, self.nats_ca, self.nats_cert, self.nats_key)

    @property
    def looks_at_tokens(self) -> bool:
        """Whether it uses what tokens are signed with, if it is told that."""
        return True

    @property
    def longest_stop_s(self) -> float:
        """From the first signal to the end, whatever hangs, such as a broker that does not answer."""
        return 10.0


def read_settings(kind: type[SettingsT], environ: Mapping[str, str]) -> SettingsT:
    """Build `kind` from the environment. An empty variable counts as unset.

    Raises:
        SettingsError: a variable is missing or has no usable value, or a file with a secret has none.
    """
    given: dict[str, str] = {}
    for field in msgspec.structs.fields(kind):
        variable = PREFIX + field.name.upper()
        value = environ.get(variable, "")
        if is_secret(field.type):
            value = value_or_file(variable, environ)
        if value:
            given[field.name] = value
        elif field.required:
            raise SettingsError(f"{variable} is not set, and has no default")
    for name, value in given.items():
        _check_alone(kind, name, value)
    return msgspec.convert(given, kind, strict=False)


def value_or_file(variable: str, environ: Mapping[str, str]) -> str:
    """Read a secret: the variable, or the file that the variable with `_FILE` names; empty: neither is set.

    Raises:
        SettingsError: both are set, or the file has no usable value.
    """
    file_variable = variable + FILE_SUFFIX
    value, file = environ.get(variable, ""), environ.get(file_variable, "")
    if not file:
        return value
    try:
        kept = read_secret(file)
    except UnusableFile as problem:
        raise SettingsError(f"{file_variable}: {problem}") from None
    if value and kept:
        raise SettingsError(f"{variable} and {file_variable} are both set: which of them counts?")
    return value or kept


def is_secret(wanted: object) -> bool:
    """Whether a setting of this type is never shown, and may stand in a file."""
    return _has(wanted, _HIDDEN)


def signs(wanted: object) -> bool:
    """Whether something is signed with a setting of this type."""
    return _has(wanted, _SIGNS)


def _has(wanted: object, mark: str) -> bool:
    metas = [part for part in get_args(wanted) if isinstance(part, msgspec.Meta)]
    return any(mark in (meta.extra or {}) for meta in metas)


def variables_of(kind: type[msgspec.Struct]) -> list[str]:
    """List the variables of `kind`, those that name files for its secrets too."""
    names = []
    for field in msgspec.structs.fields(kind):
        variable = PREFIX + field.name.upper()
        names += [variable, variable + FILE_SUFFIX] if is_secret(field.type) else [variable]
    return names


def misspelt(environ: Mapping[str, str], *kinds: type[msgspec.Struct]) -> dict[str, str]:
    """Find variables that look like a misspelt setting of `kinds`, with the setting that they resemble.

    All others are ignored: settings of other processes, and variables that an orchestrator adds.
    """
    known = [variable for kind in kinds for variable in variables_of(kind)]
    unknown = [name for name in environ if name.startswith(PREFIX) and name not in known]
    alike = {name: get_close_matches(name, known, n=1, cutoff=ALIKE) for name in unknown}
    return {name: meant[0] for name, meant in alike.items() if meant}


def usage(kind: type[msgspec.Struct]) -> str:
    """List the settings of `kind`, one a line, with their defaults."""
    lines = []
    for field in msgspec.structs.fields(kind):
        default = int(field.default) if isinstance(field.default, bool) else field.default
        if isinstance(default, float):
            default = f"{default:g}"
        value = "" if field.required or default == "" else f" ({default})"
        file = f" or {PREFIX}{field.name.upper()}{FILE_SUFFIX}" if is_secret(field.type) else ""
        lines.append(f"  {PREFIX}{field.name.upper()}{file}{value}")
    return "\n".join(lines)


def _check_alone(kind: type[msgspec.Struct], name: str, value: str) -> None:
    wanted = next(field.type for field in msgspec.structs.fields(kind) if field.name == name)
    try:
        msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError:
        is_shown = not (is_secret(wanted) or "secret" in name or "password" in name)
        shown = repr(value) if is_shown else "its value"
        raise SettingsError(
            f"{PREFIX}{name.upper()}: {shown} is unusable: expected {_allowed(wanted)}"
        ) from None


def _allowed(wanted: object) -> str:
    """Say what a setting of this type may be."""
    if wanted is bool:
        return "0 or 1"
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(map(str, get_args(wanted)))}"
    meta = next(part for part in get_args(wanted) if isinstance(part, msgspec.Meta))
    assert meta.description is not None
    return meta.description
