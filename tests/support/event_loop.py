"""The event loop that tests run on: that of the services, which costs less than Python's own, and one for all.

What a session shares (a database, the four services) lives on the loop on which it was made. A test that is no
coroutine names no loop. If it asked for such a fixture, pytest-asyncio would make another loop for it, and end what is
shared on the first; so it is refused.
"""

import asyncio
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

# Names the loop among the parameters of a test.
_FACTORY = "_asyncio_loop_factory"


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loop of the services (`run` in `services/runtime/server.py`)."""
    if sys.platform == "win32":
        return {"asyncio": asyncio.new_event_loop}
    import uvloop  # noqa: PLC0415 - not published for Windows

    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Refuse tests that are no coroutines and ask for what lives on the loop.

    Raises:
        pytest.UsageError: It names them.
    """
    wrong = [each.nodeid for each in items if isinstance(each, pytest.Function) and _asks_without_a_loop(each)]
    if wrong:
        raise pytest.UsageError(f"these ask for asynchronous fixtures, and must be `async def`: {', '.join(wrong)}")


def _asks_without_a_loop(test: pytest.Function) -> bool:
    callspec: Any = getattr(test, "callspec", None)
    if callspec is not None and _FACTORY in callspec.params:
        return False
    fixtures = test._fixtureinfo.name2fixturedefs.values()
    return any(_is_asynchronous(definitions[-1].func) for definitions in fixtures)


def _is_asynchronous(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
