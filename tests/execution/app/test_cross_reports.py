"""Each client's confirmations and yearly statement of crosses are made from what audit was told, and nothing else."""

import pytest

from services.audit.domain.reports.base import missing
from services.audit.domain.reports.crosses import CONFIRMATIONS, STATEMENT
from services.execution.domain.crossing import INTERNAL
from services.execution.domain.words import Side
from tests.audit.domain.test_reports import facts_of
from tests.execution.builders import a_plan, a_trade


@pytest.fixture
async def crossed(make_world):
    """A household whose two accounts sold, to a client who bought more; and one who did not agree to any of it."""
    world = await make_world(crossing=True)
    await world.market(VTI=100, fee_bps=10)
    await world.submit(
        a_plan(a_trade(quantity=30), plan="plan-b", account="buyer", crossing=True, cash=100_000),
        *(
            a_plan(
                a_trade(side=Side.SELL, quantity=10), plan=f"p-{name}", account=name, household_id="hh", crossing=True
            )
            for name in ("seller-1", "seller-2")
        ),
        a_plan(a_trade(quantity=5), plan="plan-o", account="other", cash=100_000),
    )
    await world.run()
    return world


async def rows_of(world, report):
    told = [(kind, "execution_service", subjects, data) for kind, subjects, data in await world.events()]
    rows = list(report.rows(facts_of(told, account="")))
    assert [missing(report, row) for row in rows] == [[]] * len(rows)
    return rows


async def test_each_account_of_a_cross_has_a_confirmation_with_what_the_rule_asks_for(crossed):
    rows = {row.values["account"]: row.values for row in await rows_of(crossed, CONFIRMATIONS)}

    assert {name: (row["client"], row["side"], row["quantity"]) for name, row in rows.items()} == {
        "buyer": ("buyer", "BUY", "20"),
        "seller-1": ("hh", "SELL", "10"),
        "seller-2": ("hh", "SELL", "10"),
    }
    one = rows["seller-1"]
    assert (one["price"], one["amount"], one["currency"]) == ("100", "1000", "USD")
    assert (one["trade_date"], one["completion_date"]) == ("2022-12-28", "2022-12-30")
    assert (one["remuneration"], one["remuneration_source"], one["undone_time"]) == ("0", "none", None)
    assert one["consents"][0].startswith("sha256:")
    assert "REVOKE" in one["revocation"]
    assert "upon request" in one["time_offer"]


async def test_the_statement_counts_what_stands_for_each_client_and_year(crossed):
    rows = {row.values["client"]: row.values for row in await rows_of(crossed, STATEMENT)}

    assert {name: (row["year"], row["transactions"], row["undone"]) for name, row in rows.items()} == {
        "buyer": ("2022", 1, 0),
        "hh": ("2022", 2, 0),
    }
    assert rows["hh"]["accounts"] == ["seller-1", "seller-2"]
    # The buyer's other ten were bought at the market, with a fee that is none of the cross.
    assert rows["buyer"]["remuneration"] == {"USD": "0"}


async def test_what_was_undone_is_said_and_not_counted(crossed):
    inside = [each for each in await crossed.blocks() if each.record.block.terms.venue_id == INTERNAL]
    await crossed.app.uncrossing.propose(inside[0].record.block_id, by="tara", why="a mistake")
    await crossed.app.uncrossing.approve(inside[0].record.block_id, by="ruth")

    assert all(row.values["undone_time"] for row in await rows_of(crossed, CONFIRMATIONS))
    said = {
        row.values["client"]: (row.values["transactions"], row.values["undone"])
        for row in await rows_of(crossed, STATEMENT)
    }
    assert said == {"buyer": (0, 1), "hh": (0, 2)}
