"""Runs benchmarks, prints a table, and keeps the figures in build/bench/results.json.

python -m tests.bench [PREFIX]      those whose name starts so; all without one
python -m tests.bench --document    also write the table into docs/performance.md
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import (
    audit,
    audit_log,
    audit_stories,
    decision,
    execution,
    first_runs,
    fix,
    fix_session,
    ground,
    mintrade,
    mintrade_large,
    policy,
    portfolio_peers,
    tax,
    year_ends,
)
from tests.bench.results import Result, keep, machine

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by `python -m tests.bench --document` -->", "<!-- end of figures -->"

# Each takes one or more figures, whose names start with its own.
BENCHMARKS: dict[str, Callable[[], Sequence[Result]]] = {
    "audit.group_commit": audit.group_commit,
    "audit.tree": audit.tree_vs_chain,
    "audit.grpc": audit.grpc_append,
    "audit.inclusion": audit_log.inclusion,
    "audit.query": audit_log.queries,
    "audit.proof_vs_recompute_1m": audit_log.proof_vs_recompute,
    "audit.served": audit_log.through_the_service,
    "audit.scrub": audit_log.scrubbing,
    "audit.export": audit_log.exporting,
    "audit.bytes_per_event": audit_log.storage,
    "audit.story": audit_stories.stories,
    "fix.codec_vs_simplefix": fix.codec,
    "decision.small": decision.small,
    "decision.small.vs_pyportfolioopt": portfolio_peers.against_pyportfolioopt,
    "decision.small.vs_skfolio": portfolio_peers.against_skfolio,
    "decision.small.vs_cvxportfolio": portfolio_peers.against_cvxportfolio,
    "decision.small.accounts_per_s": decision.road,
    "decision.small.growth": decision.growth,
    "decision.service_overhead_ratio": decision.batches,
    "decision.two_process_ratio": decision.two_processes,
    "decision.plans": decision.plans,
    "decision.idle": decision.idle,
    "decision.mintrade": mintrade.against_scip,
    "decision.minimum500.s": mintrade_large.against_solvers,
    "decision.b500": mintrade.b500,
    "decision.large": decision.large,
    "decision.certified_share": decision.certified,
    "decision.screen_1m_s": decision.screening,
    "fix.orders_per_s": fix_session.orders,
    "fix.submit_p99_ms": fix_session.submit,
    "execution.blocks_100k_s": execution.blocks,
    "execution.allocate_1m_s": execution.allocations,
    "execution.checks_p99_ms": execution.checks,
    "execution.orders_per_s": execution.orders,
    "ground.rpc": ground.rpc,
    "ground.demo_s": ground.demo,
    "policy": policy.resolving,
    "tax.first_run": first_runs.first_run_of_a_year,
    "tax.marginal_batch_ratio": tax.marginal_batch,
    "tax.year_end_100k_s": tax.year_end_100k,
    "tax.year_end_gb_per_s": tax.year_ends_elsewhere,
    "tax.year_end_book": year_ends.year_end_book,
}


def main() -> int:
    """Run what was asked for, and return the exit code: 1 if nothing has that name."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure, side by side with peers.")
    parser.add_argument("prefix", nargs="?", default="", help="run the benchmarks whose name starts so")
    parser.add_argument("--document", action="store_true", help="write the table into docs/performance.md")
    given = parser.parse_args()
    chosen = {
        name: run for name, run in BENCHMARKS.items() if name.startswith(given.prefix) or given.prefix.startswith(name)
    }
    console = Console()
    if not chosen:
        console.print(f"no benchmark starts with {given.prefix!r}; there are {', '.join(BENCHMARKS)}")
        return 1
    results: list[Result] = []
    for name, run in chosen.items():
        console.print(f"[dim]measuring {name}[/]", highlight=False)
        results += run()
        keep(results)
    console.print(_table(results))
    console.print(f"[dim]{machine()}[/]", highlight=False)
    if given.document:
        _document(results)
    return 0


def _table(results: Sequence[Result]) -> Table:
    table = Table("name", "ours", "unit", "peer", "peer's", "ratio", box=None, padding=(0, 2, 0, 0))
    for row in _rows(results):
        table.add_row(*row)
    return table


def _rows(results: Sequence[Result]) -> list[tuple[str, str, str, str, str, str]]:
    return [
        (
            each.name,
            f"{each.value:,.4g}",
            each.unit,
            each.peer or "",
            "" if each.peer_value is None else f"{each.peer_value:,.4g}",
            "" if each.ratio is None else f"{each.ratio:.3g}",
        )
        for each in results
    ]


def _document(results: Sequence[Result]) -> None:
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    lines = ["| name | ours | unit | peer | peer's | ratio |", "|---|--:|---|---|--:|--:|"]
    lines += [f"| `{row[0]}` | " + " | ".join(row[1:]) + " |" for row in _rows(results)]
    taken = f"{machine()}, {datetime.now(UTC):%Y-%m-%d}."
    PAGE.write_text(f"{before}{BEGIN}\n\n{taken}\n\n" + "\n".join(lines) + f"\n\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
