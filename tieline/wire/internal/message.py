"""What all messages between two processes have in common."""

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """One message between two processes: positional, tagged by its class."""

    def __repr__(self) -> str:
        """Show all but what is never logged."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name != "token"}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
