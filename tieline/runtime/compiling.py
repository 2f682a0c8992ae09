"""What is said to mypyc about a class; nothing of it is there when Tieline runs (docs/decisions/0098)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:
    T = TypeVar("T")

    def mypyc_attr(**_: bool) -> Callable[[T], T]:
        """Describe a class to mypyc, which reads this where it stands and does not call it."""
        return lambda described: described


__all__ = ["mypyc_attr"]
