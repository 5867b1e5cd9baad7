"""Spans of a trace, as Protocols."""

from contextlib import AbstractContextManager
from typing import Protocol


class Spanned(Protocol):
    """A span of a trace."""

    def set_attribute(self, key: str, value: str | float) -> None:
        """Say something about it."""
        ...


class Tracing(Protocol):
    """Makes work a span of a trace. `__` in an attribute's name stands for a dot."""

    def continued(
        self, trace_parent: str | None, name: str, **attributes: str | float
    ) -> AbstractContextManager[Spanned]:
        """Open a span called `name` in the trace that ordered the work."""
        ...

    def span(self, name: str, **attributes: str | float) -> AbstractContextManager[Spanned]:
        """Open a span called `name` inside the present one."""
        ...
