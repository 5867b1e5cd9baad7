"""What the demo shows at its end, from what the services answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table

from evenkeel.decision.v1 import book_service_pb2 as book
from evenkeel.decision.v1 import plan_service_pb2 as plan
from evenkeel.decision.v1 import run_service_pb2 as run
from evenkeel.execution.v1 import execution_service_pb2 as execution
from tools.cli.text import money, percent
from tools.client.log import VerifiedLog
from tools.client.values import amount, decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the summary tells, as the services answered it."""

    run: run.Run
    lots: int
    blocks: Sequence[execution.Block]
    cost: execution.GetCostReportResponse
    books: book.GetReconciliationResponse
    venue_breaks: int
    log: VerifiedLog
    plans: Sequence[plan.Plan]
    explained: Sequence[plan.Plan]
    approver: str

    @property
    def books_agree(self) -> bool:
        """Whether the book is, to the cent, what its snapshot and the fills make of it, and the venue agrees."""
        return self.books.break_count == 0 and self.venue_breaks == 0


# Trades of an example plan that are printed; all of them are in the file `why.txt`.
TRADES_SHOWN = 4


def show(console: Console, outcome: Outcome, stages_s: Mapping[str, float]) -> None:
    """Print the summary, with the seconds that each stage took, and the example explanations."""
    console.print(_summary(outcome, stages_s))
    for each in outcome.explained:
        console.print(_explanation(each))


def why(outcome: Outcome) -> str:
    """Return the example explanations as text, with every trade of each."""
    return "\n\n".join(
        "\n".join([f"{each.account_id}: {each.plan_id}", "", *_said(each)]) for each in outcome.explained
    )


def as_json(outcome: Outcome, stages_s: Mapping[str, float]) -> dict[str, object]:
    """Return the summary's figures, for programs."""
    total = outcome.run.summary
    return {
        "run_id": outcome.run.run_id,
        "accounts": outcome.run.account_count,
        "lots": outcome.lots,
        "outcomes": dict(outcome.run.outcome_counts),
        "plans": dict(outcome.run.plan_counts),
        "drift_before": total.drift_before.value,
        "drift_after": total.drift_after.value,
        "turnover": str(amount(total.turnover)),
        "tax": str(amount(total.tax)),
        "tax_saved": str(amount(total.tax_saved)),
        "gap_max_bps": total.gap_max_bps.value,
        "blocks": len(outcome.blocks),
        "shortfall": str(amount(outcome.cost.shortfall)),
        "book_breaks": outcome.books.break_count,
        "venue_breaks": outcome.venue_breaks,
        "audit_entries": outcome.log.report.size,
        "audit_root": outcome.log.root_hex,
        "stages_s": {name: round(seconds, 2) for name, seconds in stages_s.items()},
    }


def _summary(outcome: Outcome, stages_s: Mapping[str, float]) -> Table:
    rows = Table(title="One rebalance", title_justify="left", show_header=False, box=None, pad_edge=False)
    rows.add_column()
    rows.add_column()
    for name, value in [*_decided(outcome), *_executed(outcome), *_proved(outcome)]:
        rows.add_row(f"[bold]{name}[/]", value)
    rows.add_row("[bold]time[/]", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages_s.items()))
    return rows


def _decided(outcome: Outcome) -> list[tuple[str, str]]:
    total, found = outcome.run.summary, outcome.run
    outcomes = ", ".join(f"{count:,} {name.lower().replace('_', ' ')}" for name, count in found.outcome_counts.items())
    return [
        ("accounts", f"{found.account_count:,} with {outcome.lots:,} tax lots, worth {money(total.value)}"),
        ("decided", outcomes),
        ("certified", _gaps(outcome)),
        ("drift", f"{percent(total.drift_before)} before, {percent(total.drift_after)} after"),
        ("turnover", f"{money(total.turnover)}, net gain realized {money(total.realised_gain)}"),
        ("tax", f"{money(total.tax)} estimated; {money(total.tax_saved)} less than first-in first-out"),
    ]


def _gaps(outcome: Outcome) -> str:
    proofs = [each.certificate for each in outcome.plans if each.outcome == plan.Plan.OUTCOME_TRADE]
    # Whole shares, increments and smallest trades included: no plan that could be sent is better by more.
    gaps = sorted(decimal(proof.gap_bps) + decimal(proof.rounding_bps) for proof in proofs)
    if not gaps:
        return "no trades"
    near = sum(gap <= 1 for gap in gaps)
    half, worst = gaps[len(gaps) // 2], gaps[-1]
    return f"no plan can be better by more than {half:.2f} bp (median), {worst:.2f} bp (worst); {near:,} within 1 bp"


def _executed(outcome: Outcome) -> list[tuple[str, str]]:
    cost, blocks = outcome.cost, outcome.blocks
    orders = sum(block.order_count for block in blocks)
    held = outcome.run.plan_counts["HELD"]
    parts = {
        "delay": cost.delay,
        "trading": cost.trading,
        "unfilled": cost.opportunity,
        "fees": cost.fees,
    }
    shortfall = ", ".join(f"{name} {money(part)}" for name, part in parts.items())
    gain = " (below zero: filled at better prices)" if amount(cost.shortfall) < 0 else ""
    return [
        ("by a person", f"1 plan held for review, approved by {outcome.approver}" + (f"; {held} wait" if held else "")),
        ("orders", f"{orders:,} account orders in {len(blocks):,} blocks, {money(cost.traded_value)} traded"),
        ("cost", f"{money(cost.shortfall)} against the price at the decision{gain}: {shortfall}"),
    ]


def _proved(outcome: Outcome) -> list[tuple[str, str]]:
    books = outcome.books
    agree = "[green]agree to the cent[/]" if outcome.books_agree else "[red]DO NOT AGREE[/]"
    compared = f"{books.account_count:,} accounts, {books.allocation_count:,} allocations"
    before = sum((amount(each) for each in books.cash_before), Decimal(0))
    after = sum((amount(each) for each in books.cash_after), Decimal(0))
    breaks = books.break_count + outcome.venue_breaks
    return [
        ("books", f"{agree}: {compared}, {breaks} breaks; cash {before:,.2f} → {after:,.2f}"),
        ("audit", f"[green]log verified[/]: {outcome.log.report.size:,} entries, root {outcome.log.root_hex}"),
    ]


def _explanation(each: plan.Plan) -> Panel:
    # The sentence of the whole, and a blank line, come before the trades.
    lines = _said(each)[: 2 + TRADES_SHOWN]
    if len(each.trades) > TRADES_SHOWN:
        lines.append(f"… and {len(each.trades) - TRADES_SHOWN} more, in why.txt")
    return Panel(Group(*lines), title=f"Why, for {each.account_id}", title_align="left", width=118)


def _said(each: plan.Plan) -> list[str]:
    return [each.explanation.summary, "", *(f"• {trade.sentence}" for trade in each.trades)]
