"""Do the error reasons of the contracts, the code and docs/errors.md agree?

A reason that only the code knows reaches callers as a name they cannot look up; one that only the contract knows is a
promise nobody keeps; one that is not explained leaves whoever meets it alone. Most reasons are an error's; some are
told as data, for instance why one order of many was not sent, and those must be named in the code as a text.

    python -m tools.checks.reasons
"""

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import services
from evenkeel.common.v1 import error_reason_pb2
from services.kernel.errors import Fact

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "ERROR_REASON_"
UNSPECIFIED = "UNSPECIFIED"

# Modules that do something when imported: they start a program or run inside Alembic.
NOT_IMPORTED = ("__main__", "migrations")


def promised() -> set[str]:
    """Return the reasons of the contracts, without their prefix."""
    names = error_reason_pb2.ErrorReason.keys()
    return {name.removeprefix(PREFIX) for name in names} - {UNSPECIFIED}


def raised() -> dict[str, str]:
    """Return the reasons of all errors of the services, each with one class that carries it."""
    for module in _modules(services.__name__, services.__path__):
        importlib.import_module(module)
    return {error.reason: f"{error.__module__}.{error.__qualname__}" for error in _with_reason(Fact)}


def named(texts: Iterable[str]) -> set[str]:
    """Return which of the texts the services' code names as they stand."""
    wanted = set(texts)
    return wanted & {
        node.value
        for file in (ROOT / "services").rglob("*.py")
        if any(text in (source := file.read_text()) for text in wanted)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def disagreements(in_contracts: set[str], in_code: dict[str, str], as_data: set[str], explained: str) -> list[str]:
    """Return what any side lacks, ordered by reason.

    Args:
        in_contracts: The reasons of the contracts.
        in_code: The reasons of errors, each with one class that carries it.
        as_data: Texts that the code names.
        explained: docs/errors.md.
    """
    unknown = [
        f"{in_code[reason]} has the reason {reason}: add {PREFIX}{reason} to error_reason.proto"
        for reason in sorted(in_code.keys() - in_contracts)
    ]
    unused = [
        f"{PREFIX}{reason} is no error's reason: raise it somewhere, or reserve its number"
        for reason in sorted(in_contracts - in_code.keys() - as_data)
    ]
    unexplained = [
        f"docs/errors.md does not say what to do about {reason}"
        for reason in sorted(in_contracts)
        if f"`{reason}`" not in explained
    ]
    return unknown + unused + unexplained


def _modules(package: str, path: list[str]) -> Iterator[str]:
    for module in pkgutil.iter_modules(path, prefix=f"{package}."):
        if module.name.rpartition(".")[2] in NOT_IMPORTED:
            continue
        yield module.name
        if module.ispkg:
            yield from _modules(module.name, list(importlib.import_module(module.name).__path__))


def _with_reason(error: type[Fact]) -> Iterator[type[Fact]]:
    if "reason" in error.__dict__:
        yield error
    for subclass in error.__subclasses__():
        yield from _with_reason(subclass)


def main() -> int:
    """Print the disagreements and return the exit code."""
    in_contracts, in_code = promised(), raised()
    as_data = named(in_contracts - in_code.keys())
    found = disagreements(in_contracts, in_code, as_data, (ROOT / "docs" / "errors.md").read_text())
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
