"""How long does each stage take? Told as it ends, and kept."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Stages:
    """How long each stage takes; each is told when it ends."""

    def __init__(self, console: Console) -> None:
        """Tell them on `console`."""
        self.seconds: dict[str, float] = {}
        self._console = console

    @contextmanager
    def stage(self, name: str, what: str) -> Iterator[None]:
        """Time what happens within."""
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started
        self._console.print(f"[green]✓[/] {what} [dim]{self.seconds[name]:.1f} s[/]", highlight=False)
