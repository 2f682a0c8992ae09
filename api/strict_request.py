"""Read the body of a request as its type has it, and nothing else: `"60"` is no number.

The framework would take a text for a number, as in a query; the document says otherwise.
"""

from typing import Any

import msgspec
from litestar import Request

from api.callers import Caller
from api.problems import Refusal
from tieline.api.bodies import FieldProblem


class StrictRequest(Request[Caller, Any, Any]):
    """A request whose JSON is read by the type of the handler's `data`."""

    async def json(self) -> Any:  # noqa: ANN401  # as the framework has it
        """Read the body.

        Raises:
            Refusal: it is not as its type has it.
        """
        field = self.route_handler.parsed_data_field
        body = await self.body()
        try:
            return msgspec.json.decode(body, type=Any if field is None else field.annotation)
        except msgspec.ValidationError as problem:
            told, _, where = str(problem).partition(" - at `$")
            error = FieldProblem(detail=told, field=where.strip(".`"))
            detail = "the body is not as the document has it"
            raise Refusal(400, "BAD_REQUEST", detail, errors=(error,)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refusal(400, "BAD_REQUEST", "the body is no JSON") from None
