"""What accounts get under two policies, as a table."""

from collections.abc import Iterable

from rich.table import Table

from evenkeel.decision.v1 import run_service_pb2 as pb
from tools.cli.context import table
from tools.cli.text import number


def comparison_rows(title: str, comparisons: Iterable[pb.Comparison]) -> Table:
    """Return a row for each: outcomes, and what the new rules make more of, in basis points of the account."""
    rows = table(title, "account", "run", "new", "old", ">tax", ">cost", ">drift", ">turnover")
    for each in comparisons:
        rows.add_row(
            each.account_id, each.run_id, each.candidate.outcome, each.incumbent.outcome,
            number(each.tax_delta_bps), number(each.cost_delta_bps), number(each.drift_delta_bps),
            number(each.turnover_delta_bps),
        )  # fmt: skip
    return rows
