"""What came before its turn waits here until the gap before it is closed."""

from dataclasses import dataclass
from datetime import datetime

from services.execution.fix.protocol.message import Message


@dataclass(slots=True)
class Gap:
    """Messages asked for and not here yet: up to `last`; nothing came since `since`."""

    last: int
    since: datetime


# Messages are small; this only keeps large ones from filling the memory.
BYTES_MAX = 16 * 1024 * 1024


class Waiting:
    """Messages by number, at most so many; those beyond are asked for again when their turn comes."""

    def __init__(self, most: int, bytes_max: int = BYTES_MAX) -> None:
        """Keep at most `most` messages of `bytes_max` bytes in all."""
        self._most = most
        self._spare = bytes_max
        # None: it was answered already, only its number waits.
        self._held: dict[int, Message | None] = {}

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._held)

    def hold(self, number: int, message: Message | None) -> None:
        """Keep a message; the first under its number stays."""
        size = _size(message)
        if number not in self._held and len(self._held) < self._most and size <= self._spare:
            self._held[number] = message
            self._spare -= size

    def has(self, number: int) -> bool:
        """Return whether something waits under a number."""
        return number in self._held

    def take(self, number: int) -> Message | None:
        """Return and forget what waits under a number."""
        message = self._held.pop(number)
        self._spare += _size(message)
        return message

    def forget_below(self, number: int) -> None:
        """Forget what came under lower numbers."""
        for each in [each for each in self._held if each < number]:
            self.take(each)

    def clear(self) -> None:
        """Forget everything."""
        for each in list(self._held):
            self.take(each)


def _size(message: Message | None) -> int:
    return 0 if message is None else len(message.raw)
