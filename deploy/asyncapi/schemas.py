"""JSON schemas of the wire's structs.

msgspec's own schemas have no word for JSON that is passed on as it came (`msgspec.Raw`), and describe
defaults that stand for *not said*.
"""

from typing import Any, Final

import msgspec
from msgspec import inspect

from tieline.wire import replies

Schema = dict[str, Any]

ANYTHING: Final[Schema] = {}
"""Any JSON value."""


class Schemas:
    """The schemas of structs, each once, by the struct's name."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}

    def of(self, *types: type) -> Schema:
        """Describe what is one of these."""
        found = [self._of(inspect.type_info(each)) for each in types]
        return found[0] if len(found) == 1 else {"anyOf": found}

    def fields(self, struct: type[msgspec.Struct], **known: Schema) -> Schema:
        """Describe a struct in place; of the fields in `known` more is known than their type says."""
        info = inspect.type_info(struct)
        assert isinstance(info, inspect.StructType)
        properties, required = dict[str, Schema](), list[str]()
        if info.tag_field is not None:
            properties[info.tag_field] = {"const": info.tag}
            required.append(info.tag_field)
        is_brief = struct.__struct_config__.omit_defaults
        writes_all = struct.__module__ == _SERVERS and not is_brief
        for field in info.fields:
            name = field.encode_name
            said = _without_none(field.type) if is_brief and field.default is None else field.type
            properties[name] = known[name] if name in known else self._of(said)
            if field.required or (_is_written(field) and writes_all):
                required.append(field.encode_name)
        return {"type": "object", "required": required, "properties": properties}

    def _of(self, info: inspect.Type) -> Schema:
        match info:
            case inspect.RawType() | inspect.AnyType():
                return ANYTHING
            case inspect.StructType(cls=struct):
                return self._named(struct)
            case inspect.Metadata(type=inner):
                return self._of(inner)
            case inspect.LiteralType(values=values):
                return {"enum": list(values)}
            case inspect.UnionType(types=types):
                found = [self._of(each) for each in types if each != _UNSET]
                return found[0] if len(found) == 1 else {"anyOf": found}
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                return {"type": "array", "items": self._of(item)}
            case inspect.IntType(ge=least, le=most):
                bounds = {"minimum": least, "maximum": most}
                return {
                    "type": "integer",
                    **{key: value for key, value in bounds.items() if value is not None},
                }
            case _:
                return {"type": _SIMPLE[type(info)]}

    def _named(self, struct: type[msgspec.Struct]) -> Schema:
        name = struct.__name__
        if name not in self.named:
            self.named[name] = {}  # for one that has itself inside
            self.named[name] = {**self.fields(struct), "description": sentence(struct)}
        return {"$ref": f"#/components/schemas/{name}"}


_SIMPLE: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.FloatType: "number",
    inspect.NoneType: "null",
}

_UNSET: Final = inspect.type_info(msgspec.UnsetType)

_SERVERS: Final = replies.__name__
"""The module whose structs the server writes: with all their fields, but for those that are unset."""


def _without_none(info: inspect.Type) -> inspect.Type:
    """What a field is where it is written at all: its default is None, and defaults are left out."""
    assert isinstance(info, inspect.UnionType)
    (said,) = (each for each in info.types if not isinstance(each, inspect.NoneType))
    return said


def _is_written(field: inspect.Field) -> bool:
    return field.default not in (msgspec.NODEFAULT, msgspec.UNSET)


def sentence(struct: type) -> str:
    """What a struct is, in its own words."""
    return " ".join((struct.__doc__ or "").split())
