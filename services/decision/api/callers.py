"""Who calls."""

from services.runtime.context import current_caller


def subject() -> str:
    """Return the subject of the caller's token.

    Raises:
        RuntimeError: No call is being served; access control lets none pass without a caller.
    """
    caller = current_caller()
    if caller is None:
        raise RuntimeError("a call needs a caller")
    return caller.subject
