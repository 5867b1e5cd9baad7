"""What a benchmark found, and how it is kept."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "build" / "bench" / "results.json"


@dataclass(frozen=True, slots=True)
class Result:
    """One figure.

    Attributes:
        name: `<area>.<what>`, for instance `ground.demo_s`.
        value: What we reach.
        unit: Of `value` and `peer_value`.
        peer: What it is compared with, in the same run; None without one.
        peer_value: What the peer reaches.
        ratio: How many times better we are than the peer, or as the name says.
        versions: Of what took part.
    """

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the figure and the machine it was taken on."""
        return {**asdict(self), "machine": machine()}


def machine() -> str:
    """Return what the figures were taken on, in a line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def interleaved(rounds: int, sides: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Return the median of each side's measure over `rounds`, taken in turn so that a busy moment meets all sides."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            taken[name].append(measure())
    return {name: statistics.median(values) for name, values in taken.items()}


def keep(results: Sequence[Result]) -> None:
    """Write `results` over earlier ones of the same names."""
    kept = {each["name"]: each for each in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    kept.update({result.name: result.as_json() for result in results})
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(list(kept.values()), indent=2) + "\n")
