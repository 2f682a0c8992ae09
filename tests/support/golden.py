"""Golden bytes: what a version has written, kept, so that every later version must still read it.

A collection (`Golden`) is a list of samples of all messages, or of all records, and how each kind is encoded
and decoded. Each release has a file of them in a folder of its own, with the bytes and the values that they
stand for, by the names of their fields. `problems` compares; the tests of a collection assert that there are
none.

    python -m tests.support.golden 0.3                 writes the files of a new version, and overwrites none
    python -m tests.support.golden 0.3 --unreleased    writes them again, unless CHANGELOG.md has the release

Why the bytes may change only by rule: docs/decisions/0060-messages-and-records-change-by-rule.md.
"""

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from tieline.cli.options import option_parser

COLLECTIONS: Final = ("tests.unit.wire.golden_messages", "tests.unit.presence.golden_records")
"""Modules with a `GOLDEN`: what the command writes."""

ROOT: Final = Path(__file__).parents[2]


class Codec(NamedTuple):
    """How one kind of message or record is written and read."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class Sample(NamedTuple):
    """One value. `codec` names an entry of `Golden.codecs`; `name` says what is particular about it."""

    name: str
    codec: str
    value: object


class Entry(msgspec.Struct, frozen=True):
    """One sample as it stands in a file. `hex` are the bytes; `value` is what they mean (`described`)."""

    name: str
    codec: str
    value: Any
    hex: str


class Golden(NamedTuple):
    """One collection: `folder` has a folder for each version, with a file called `file`."""

    folder: Path
    file: str
    codecs: Mapping[str, Codec]
    samples: Sequence[Sample]

    def path(self, version: str) -> Path:
        """Where the samples of a version are."""
        return self.folder / version / self.file

    def versions(self) -> list[str]:
        """List the versions whose bytes are kept, the oldest first."""
        return sorted((path.parent.name for path in self.folder.glob(f"*/{self.file}")), key=_numbers)

    def entries(self, version: str) -> list[Entry]:
        """Read the samples of a version."""
        return msgspec.json.decode(self.path(version).read_bytes(), type=list[Entry])


def described(value: object) -> Any:  # JSON
    """Turn a value into JSON that names its types and fields: `{"": "Check", "user": "alice", ...}`."""
    match value:
        case msgspec.Struct():
            fields = {name: described(getattr(value, name)) for name in value.__struct_fields__}
            return {"": type(value).__name__, **fields}
        case bytes():
            return {"": "bytes", "hex": value.hex()}
        case tuple() | list():
            return [described(each) for each in value]
        case dict():
            return {"": "map", "items": [[described(key), described(each)] for key, each in value.items()]}
        case _:
            assert value is None or isinstance(value, str | int | float), f"{value!r} has no description"
            return value


def rendered(golden: Golden) -> str:
    """The file of the newest version, as the code has it now: one sample a line."""
    lines = [json.dumps(_entry(golden, sample), ensure_ascii=False) for sample in golden.samples]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def problems(golden: Golden, version: str) -> Iterator[str]:
    """Say which bytes of a version are read as something else today, or not at all."""
    for entry in golden.entries(version):
        try:
            value = golden.codecs[entry.codec].decode(bytes.fromhex(entry.hex))
        except (KeyError, msgspec.MsgspecError) as error:
            yield f"{version}, {entry.name}: {error!r}"
            continue
        yield from (f"{version}, {entry.name}{where}" for where in _differences(entry.value, value))


def unsampled(golden: Golden, kinds: set[type]) -> Iterator[str]:
    """Say what the samples of these struct classes leave open.

    That a class has none; that two of its fields could be swapped without notice, because no sample has
    different values in them; that a default could be changed without notice, because no sample has it.
    """
    values: dict[type, list[Any]] = {kind: [] for kind in kinds}
    for sample in golden.samples:
        for struct in _structs(sample.value):
            values.setdefault(type(struct), []).append(struct)
    for kind, structs in values.items():
        if not structs:
            yield f"{kind.__name__} has no sample"
            continue
        fields = msgspec.structs.fields(kind)
        names = [field.name for field in fields]
        for index, one in enumerate(names):
            for other in names[index + 1 :]:
                if all(_is_same(getattr(each, one), getattr(each, other)) for each in structs):
                    yield f"{kind.__name__}: {one} and {other} are the same in every sample"
        for field in fields:
            if not field.required and all(getattr(each, field.name) != field.default for each in structs):
                yield f"{kind.__name__}: no sample has the default of {field.name}"


def how_to_write(version: str) -> str:
    """Say how the bytes of the newest version are written anew, to the author of a change of them."""
    return (
        f"the bytes of {version} changed. While CHANGELOG.md does not have {version}, write them anew:\n"
        f"    .venv/bin/python -m tests.support.golden {version} --unreleased\n"
        "else see docs/decisions/0060-messages-and-records-change-by-rule.md"
    )


def write(golden: Golden, version: str, *, overwrite: bool) -> Path:
    """Write the file of a version.

    Raises:
        FileExistsError: it is there already.
    """
    path = golden.path(version)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w" if overwrite else "x", encoding="utf-8") as file:
        file.write(rendered(golden))
    return path


def is_released(version: str, changelog: str) -> bool:
    """Whether a changelog has an entry for a version such as 0.2, or one of its patches."""
    return re.search(rf"^## \[{re.escape(version)}(\.\d+)*\]", changelog, re.MULTILINE) is not None


def main(arguments: Sequence[str]) -> str:
    """Write the files of one version; returns what to say in the end."""
    parser = option_parser("python -m tests.support.golden", __doc__)
    parser.add_argument("version", help="such as 0.3")
    parser.add_argument("--unreleased", action="store_true", help="overwrite, if it is not released yet")
    chosen = parser.parse_args(arguments)
    if not re.fullmatch(r"\d+\.\d+", chosen.version):
        parser.error("a version is two numbers, such as 0.3: patches change no message and no record")
    if chosen.unreleased and is_released(chosen.version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")):
        parser.error(f"{chosen.version} is released: what it has written stays as it is")
    written = []
    for name in COLLECTIONS:
        golden: Golden = importlib.import_module(name).GOLDEN
        try:
            written.append(write(golden, chosen.version, overwrite=chosen.unreleased))
        except FileExistsError as error:
            parser.error(f"{error.filename} is there already (see --unreleased)")
    return "\n".join(f"wrote {path}" for path in written)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _entry(golden: Golden, sample: Sample) -> dict[str, object]:
    return {
        "name": sample.name,
        "codec": sample.codec,
        "value": described(sample.value),
        "hex": golden.codecs[sample.codec].encode(sample.value).hex(),
    }


def _structs(value: object) -> Iterator[msgspec.Struct]:
    """Find all structs in a value."""
    match value:
        case msgspec.Struct():
            yield value
            for name in value.__struct_fields__:
                yield from _structs(getattr(value, name))
        case tuple() | list():
            for each in value:
                yield from _structs(each)
        case dict():
            yield from _structs([*value.keys(), *value.values()])


def _is_same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def _differences(expected: Any, value: object) -> Iterator[str]:  # JSON
    """Compare a value with an older description of it: fields may have been added, with their defaults."""
    if not isinstance(value, msgspec.Struct):
        actual = described(value)
        if isinstance(value, tuple | list) and isinstance(expected, list) and len(value) == len(expected):
            for index, (wanted, each) in enumerate(zip(expected, value, strict=True)):
                yield from (f"[{index}]{where}" for where in _differences(wanted, each))
        elif isinstance(value, dict) and isinstance(expected, dict) and len(value) == len(expected["items"]):
            for (key, wanted), (name, each) in zip(expected["items"], value.items(), strict=True):
                yield from _differences(key, name)
                yield from (f"[{name!r}]{where}" for where in _differences(wanted, each))
        elif not _is_same(expected, actual):
            yield f" is read as {actual!r}, and was {expected!r}"
        return
    if not isinstance(expected, dict) or expected.get("") != type(value).__name__:
        yield f" is read as {type(value).__name__}, and was {expected!r}"
        return
    fields = {field.name: field for field in msgspec.structs.fields(value)}
    for name, wanted in expected.items():
        if name and name not in fields:
            yield f".{name} is no field any more"
        elif name:
            yield from (f".{name}{where}" for where in _differences(wanted, getattr(value, name)))
    for name in fields.keys() - expected.keys():
        if not _is_same(getattr(value, name), fields[name].default):
            yield f".{name} was added, and does not have its default"


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]) + "\n")
