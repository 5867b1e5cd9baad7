"""A history with every kind of event, and the edges of the American law, through the record and the ledger."""

from decimal import Decimal

import pytest

from evenkeel.decision.v1 import tax_service_pb2 as pb
from tests.decision.api.messages import book_requests
from tests.decision.api.test_tax_ledger import bought, day, ledger, record, sold, usd
from tests.decision.books import an_account

COMPLETE = {"complete": [{"account_id": each, "until_date": day("2024-12-31")} for each in ("a1", "a2")]}


@pytest.fixture
async def taxes(service):
    both = [an_account(each, household_id="h") for each in ("a1", "a2")]
    await service.books().IngestBook(iter(book_requests(both)))
    return service.taxes("platform_engineer", "eve")


def happened(name, on, instrument, **what):
    return {"event_id": name, "date": day(on), "instrument_id": instrument, **what}


def became(new, new_units, old_units, part):
    into = {"new_instrument_id": new, "new_units": new_units, "old_units": old_units, "cost_part": {"value": part}}
    return {"reorganized": into}


EVENTS = [
    bought("b1", "2020-03-02", 100, 10_000),
    bought("d1", "2020-06-01", 1, {"currency_code": "USD", "units": "101", "nanos": 10_000_000}, reinvested=True),
    # 202 units, of which each brings 1 back: 9,800 and 99.01 are left of the cost.
    happened("split", "2021-03-01", "VTI", split={"new_units": 2, "old_units": 1}),
    happened("back", "2021-06-01", "VTI", account_id="a1", cost_changed={"amount": usd(-202)}),
    # A quarter of it goes to one new unit for two: 2,450 and 24.75, which leaves 7,350 and 74.26.
    happened("spun", "2022-03-01", "VTI", **became("BND", 1, 2, "0.25")),
    happened("merged", "2022-09-01", "BND", **became("AAPL", 1, 1, "1")),
    # A quarter of the lot: 1,837.50, of which 20 units cost 735.
    happened("moved", "2023-03-01", "VTI", account_id="a1",
             transferred={"quantity": {"value": "50"}, "to_account_id": "a2", "lot_ids": ["b1"]}),
    sold("s1", "2024-03-01", 20, 2000, account="a2"),
    sold("s2", "2024-03-04", 100, 3000, instrument="AAPL", lot_ids=["b1"]),
]  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
async def test_every_kind_of_event_keeps_every_unit_and_every_cent_in_any_order(taxes, order):
    done = await taxes.RecordTaxEvents(record(*EVENTS[::order], **COMPLETE))
    assert (done.recorded, list(done.unsettled)) == (len(EVENTS), [])

    year = (await taxes.GetTaxLedger(ledger(accounts=("a1", "a2")))).year
    assert {tuple(each.disposal_ids): each.counted_gain.value for each in year.disposals} == {
        ("s1",): "1265", ("s2",): "550",
    }  # fmt: skip
    left = {
        (each.account_id, each.asset, each.lot_id): (each.quantity.value, each.cost.value) for each in year.remaining
    }
    assert left == {
        ("a1", "VTI", "b1"): ("150", "5512.5"),
        ("a1", "VTI", "d1"): ("2", "74.26"),
        ("a1", "AAPL", "d1"): ("1", "24.75"),
        ("a2", "VTI", "b1"): ("30", "1102.5"),
    }
    gone = sum(Decimal(piece.cost.value) for each in year.disposals for piece in each.pieces)
    assert gone + sum(Decimal(cost) for _, cost in left.values()) == Decimal("10101.01") - 202
    # Time goes along through the split, the spin-off, the merger and the transfer.
    assert {piece.term for each in year.disposals for piece in each.pieces} == {pb.TaxPiece.TERM_LONG}
    rows = [each for each in year.form_rows if each.form == "8949"]
    assert {(each.part, each.cost.value, each.gain.value) for each in rows} == {
        ("II (D)", "735", "1265"), ("II (D)", "2450", "550"),
    }  # fmt: skip


async def test_the_window_of_a_wash_sale_has_thirty_days_on_each_side_with_its_edges(taxes):
    """26 U.S.C. § 1091(a): 31 days before, 30 before, 30 after and 31 after the sale of one unit at a loss of 50."""
    await taxes.RecordTaxEvents(
        record(
            bought("old", "2020-01-02", 100, 10_000),
            bought("before-31", "2024-01-01", 1, 100), sold("s1", "2024-02-01", 1, 50, lot_ids=["old"]),
            bought("before-30", "2024-04-01", 1, 100), sold("s2", "2024-05-01", 1, 50, lot_ids=["old"]),
            sold("s3", "2024-07-01", 1, 50, lot_ids=["old"]), bought("after-30", "2024-07-31", 1, 100),
            sold("s4", "2024-10-01", 1, 50, lot_ids=["old"]), bought("after-31", "2024-11-01", 1, 100),
            complete=[{"account_id": "a1", "until_date": day("2024-12-31")}],
        )
    )  # fmt: skip
    year = (await taxes.GetTaxLedger(ledger())).year

    assert {each.disposal_ids[0]: each.counted_gain.value for each in year.disposals} == {
        "s1": "-50", "s2": "0", "s3": "0", "s4": "-50",
    }  # fmt: skip
    sources = {each.disposal_ids[0]: each.pieces[0].source for each in year.disposals}
    assert (sources["s2"], sources["s3"]) == ("26 U.S.C. § 1091",) * 2
    costs = {each.lot_id: each.cost.value for each in year.remaining}
    assert (costs["before-30"], costs["after-30"], costs["after-31"]) == ("150", "150", "100")
    codes = {each.sold_date.month: each.code for each in year.form_rows if each.form == "8949"}
    assert codes == {2: "", 5: "W", 7: "W", 10: ""}


async def test_a_holding_period_ends_with_the_day_of_the_anniversary(taxes):
    """Rev. Rul. 66-7: bought on the last day of February 2023, long-term from 1 March 2024 on."""
    await taxes.RecordTaxEvents(
        record(
            bought("b", "2023-02-28", 2, 200),
            sold("short", "2024-02-29", 1, 150),
            sold("long", "2024-03-01", 1, 150),
            complete=[{"account_id": "a1", "until_date": day("2024-12-31")}],
        )
    )
    year = (await taxes.GetTaxLedger(ledger())).year

    terms = {each.disposal_ids[0]: each.pieces[0].term for each in year.disposals}
    assert terms == {"short": pb.TaxPiece.TERM_SHORT, "long": pb.TaxPiece.TERM_LONG}
    assert {each.part for each in year.form_rows if each.form == "8949"} == {"I (A)", "II (D)"}
