"""The entries of a repeating group in a message."""

from collections.abc import Iterator

from services.execution.fix.protocol.message import Message


def entries(message: Message, count_tag: int, first_tag: int, ends: frozenset[int] = frozenset()) -> Iterator[Message]:
    """Yield the entries of a repeating group, each as a message of its own fields.

    An entry begins with `first_tag`: FIX 4.4, volume 1, "Repeating groups". The last one ends where `ends` says, or
    with the message.
    """
    entry: list[tuple[int, bytes]] = []
    inside = False
    for tag, value in message.fields:
        if tag == count_tag:
            inside = True
        elif inside and tag == first_tag:
            if entry:
                yield Message(entry, b"")
            entry = [(tag, value)]
        elif inside and entry:
            if tag in ends:
                break
            entry.append((tag, value))
    if entry:
        yield Message(entry, b"")
