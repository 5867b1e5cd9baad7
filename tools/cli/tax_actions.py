"""How giving, raising money from all accounts, and converting wrappers are shown."""

from evenkeel.decision.v1 import tax_service_pb2 as pb
from tools.cli.context import out, table
from tools.cli.text import number, state


def print_givings(response: pb.CompareTaxActionsResponse) -> None:
    """Show the ways to give, where one was asked for."""
    if not response.givings:
        return
    rows = table("\nGiving", "way", ">worth", ">tax now", ">deducted", ">saved", "scenario", ">advantage")
    for each in response.givings:
        for one in each.projections:
            rows.add_row(
                state(pb.TaxGiving.Way.DESCRIPTOR, each.way), number(each.value), number(each.tax),
                number(each.deducted), number(each.saved), _scenario(one.scenario), number(one.advantage),
            )  # fmt: skip
    out.print(rows)
    for each in response.givings:
        out.print(f"  {each.sentence}", highlight=False)


def print_drawings(response: pb.CompareTaxActionsResponse) -> None:
    """Show from which accounts to raise money, where that was asked for, and what to review."""
    if response.drawings:
        rows = table("\nWithdrawing", "order", ">tax now", ">income", "scenario", ">after tax", ">advantage")
        for each in response.drawings:
            for one in each.projections:
                rows.add_row(
                    state(pb.TaxDrawing.Order.DESCRIPTOR, each.order), number(each.tax), number(each.income),
                    _scenario(one.scenario), number(one.after_tax), number(one.advantage),
                )  # fmt: skip
        out.print(rows)
        for each in response.drawings:
            out.print(f"  {each.sentence}", highlight=False)
    for sentence in response.review:
        out.print(f"[yellow]  to review: {sentence}[/]", highlight=False)


def print_conversions(response: pb.CompareTaxActionsResponse) -> None:
    """Show what turning a traditional IRA into a Roth IRA would come to, where wrappers were asked about."""
    if not response.conversions:
        return
    rows = table("\nTo a Roth IRA", "account", ">amount", ">tax now", "scenario", ">after tax", ">advantage")
    for each in response.conversions:
        for one in each.projections:
            rows.add_row(
                each.account_id, number(each.amount), number(each.tax), _scenario(one.scenario),
                number(one.after_tax), number(one.advantage),
            )  # fmt: skip
    out.print(rows)
    for each in response.conversions:
        out.print(f"  {each.sentence}", highlight=False)


def _scenario(scenario: pb.TaxScenario) -> str:
    return f"{number(scenario.growth)} a year for {scenario.years} years"
