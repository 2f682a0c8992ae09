"""What the document at `/openapi.json` says of bodies and their fields: what `tieline.api.bodies` says.

Python forgets the docstring of a field, so that it is read from the source.
"""

import ast
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import msgspec

from tieline.api import bodies


def with_descriptions(document: dict[str, Any]) -> dict[str, Any]:
    """Put what is said of each body and of each field into a document, behind what is said of its type."""
    told = _told()
    for name, schema in document["components"]["schemas"].items():
        if name in told:
            said, fields = told[name]
            schema["description"] = said
            for field, meaning in fields.items():
                described = schema["properties"][field]
                described["description"] = ". ".join(filter(None, (described.get("description"), meaning)))
    return document


@functools.cache
def _told() -> dict[str, tuple[str, dict[str, str]]]:
    """Read what is said of each body, and of its fields by the names that they have in JSON."""
    classes = (node for node in ast.parse(inspect.getsource(bodies)).body if isinstance(node, ast.ClassDef))
    return {
        each.name: (_words(ast.get_docstring(each) or ""), dict(_fields(each)))
        for each in classes
        if each.name not in (bodies.Body.__name__, bodies.Order.__name__)
    }


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    struct = getattr(bodies, node.name)
    names = {field.name: field.encode_name for field in msgspec.structs.fields(struct)}
    for field, below in zip(node.body, node.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                yield names[name], _words(meaning)


def _words(docstring: str) -> str:
    return " ".join(docstring.split())
