"""Do the lock files hold what pyproject.toml asks for, and nothing that belongs to one machine?

Asks no registry, so it can tell that a lock is out of date, but not that a newer version exists.

    python -m tools.checks.locks
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("policy", "decision", "execution", "audit")
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*])?==([^\s;\\]+)")
MACHINE = re.compile(r"https?://|--(extra-)?index-url|--find-links|file:|(?:^|\s)/(?:home|root|tmp|usr|work)/")


def pins(lock: str) -> dict[str, set[str]]:
    """Return the versions of each package that a lock file holds; several where they differ by Python version."""
    found: dict[str, set[str]] = {}
    for line in lock.splitlines():
        if match := PIN.match(line):
            found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


def findings(name: str, lock: str, wanted: Sequence[str], everything: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield what is wrong with one lock file.

    Args:
        name: The file's name, for the findings.
        lock: Its text.
        wanted: The requirements it was compiled from.
        everything: The pins of the developers' lock: what is deployed must be what was tested.
    """
    locked = pins(lock)
    for requirement in map(Requirement, wanted):
        versions = locked.get(canonicalize_name(requirement.name), set())
        if not any(requirement.specifier.contains(version) for version in versions):
            yield f"{name} does not hold {requirement}: run `make lock`"
    for package, versions in sorted(locked.items()):
        if not versions <= everything.get(package, set()):
            yield f"{name} holds {package} {', '.join(sorted(versions))}, which no test runs with: run `make lock`"
    for number, line in enumerate(lock.splitlines(), start=1):
        if MACHINE.search(line):
            yield f"{name}:{number} names a machine or a registry: {line.strip()}"


def main() -> int:
    """Print the findings of all lock files and return the exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base: list[str] = project["dependencies"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    wanted = {service: base + extras[service] for service in SERVICES}
    wanted["dev"] = base + [requirement for extra in extras.values() for requirement in extra]
    texts = {name: (ROOT / "requirements" / f"{name}.lock").read_text() for name in wanted}
    everything = pins(texts["dev"])
    found = [
        finding
        for name, requirements in wanted.items()
        for finding in findings(f"{name}.lock", texts[name], requirements, everything)
    ]
    sys.stdout.write("".join(f"{finding}\n" for finding in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
