"""Who is asking."""

from services.runtime.context import Caller, current_caller


def caller() -> Caller:
    """Return who calls; no call reaches a handler without."""
    found = current_caller()
    if found is None:
        raise RuntimeError("no call reaches a handler without a caller")
    return found
