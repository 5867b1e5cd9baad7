"""Mergers, spin-offs, transfers and lot methods: nothing is lost over any sequence, and examples come out by hand."""

import random
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    CostChange,
    Disposal,
    Gift,
    Giver,
    History,
    LotMethod,
    Owner,
    Receipt,
    Recipient,
    Reorganization,
    Split,
    TaxAccount,
    Transfer,
)
from services.decision.domain.tax.assessment.results import MatchRule, SoldMoreThanHeld, Term
from services.decision.domain.tax.assessment.rows import Redemption
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.redeeming import redeemed
from services.kernel.errors import Invalid
from tests.decision.domain.tax.assessment.histories import TODAY, bought, sold

RULES = (UnitedKingdom(), UnitedStatesYear(), Canada(), Germany())
EACH_COUNTRY = pytest.mark.parametrize("rules", RULES, ids=lambda each: type(each).__name__)
START = date(2024, 6, 3)
OWN = (TaxAccount("A"), TaxAccount("B"))

KINDS = ("buy", "buy", "sell", "sell", "give", "receive", "move", "change", "split", "spin", "merge", "take")


@st.composite
def eventful_histories(draw):
    """Trades, gifts both ways, deaths, splits, transfers, returns of capital, a spin-off and mergers, also for money.

    Every unit is counted along, so that nothing is sold that is not there.
    """
    acquisitions, disposals, transfers, changes, splits = [], [], [], [], []
    gifts, receipts, paid = [], [], Decimal(0)
    reorganizations: list[Reorganization] = []
    taken: dict[str, Redemption] = {}
    held = {(account, asset): Decimal(0) for account in "AB" for asset in ("OLD", "NEW", "SPUN")}
    day = START
    for number in range(draw(st.integers(2, 16))):
        day += timedelta(days=draw(st.sampled_from((0, 1, 7, 30, 31, 200))))
        merged = any(each.ends_old for each in reorganizations)
        account = draw(st.sampled_from("AB"))
        asset = draw(st.sampled_from(("NEW", "SPUN") if merged else ("OLD", "NEW", "SPUN")))
        kind = draw(st.sampled_from(KINDS))
        units = Decimal(draw(st.integers(1, 12)))
        amount = Decimal(draw(st.integers(0, 200_00))) / 100
        here = held[account, asset]
        if kind == "receive":
            held[account, asset] += units
            cost = Decimal(draw(st.integers(0, 200_00))) / 100
            receipts.append(
                Receipt(f"l{number}", day, account, asset, units, amount, draw(st.sampled_from(Giver)), cost)
            )
        elif kind == "buy" or (kind in ("sell", "move", "give") and here < 1):
            held[account, asset] += units
            acquisitions.append(Acquisition(f"l{number}", day, account, asset, units, amount))
        elif kind == "sell":
            held[account, asset] -= min(units, here)
            method = draw(st.sampled_from(LotMethod))
            disposals.append(Disposal(f"s{number}", day, account, asset, min(units, here), amount, (), method))
        elif kind == "give":
            held[account, asset] -= min(units, here)
            recipient = draw(st.sampled_from(Recipient))
            gifts.append(Gift(f"g{number}", day, account, asset, min(units, here), amount, recipient))
        elif kind == "move":
            # A day of its own: a transfer comes before everything that is bought on its day.
            day += timedelta(days=1)
            other = "B" if account == "A" else "A"
            held[account, asset] -= min(units, here)
            held[other, asset] += min(units, here)
            transfers.append(Transfer(f"t{number}", day, account, other, asset, min(units, here)))
            day += timedelta(days=1)
        elif kind == "change" and here:
            changes.append(CostChange(day, account, asset, amount - 100))
        elif kind == "split":
            day += timedelta(days=1)
            splits.append(Split(day, asset, 2, 1))
            for each in "AB":
                held[each, asset] *= 2
            day += timedelta(days=1)
        elif kind == "take":
            day += timedelta(days=1)
            taken[f"t{number}"] = Redemption(day, asset, amount)
            held["A", asset] = held["B", asset] = Decimal(0)
            day += timedelta(days=1)
        elif kind in ("spin", "merge") and not merged:
            day += timedelta(days=1)
            spun = kind == "spin"
            new = "SPUN" if spun else "NEW"
            part = Decimal(draw(st.integers(1, 99))) / 100 if spun else Decimal(1)
            money = Decimal(0 if spun else draw(st.sampled_from((0, 33, 233, 3000)))) / 100
            worth = Decimal(draw(st.integers(1, 999))) / 100 if money else None
            reorganizations.append(Reorganization(day, "OLD", new, 3, 1, part, money, worth))
            paid += money * (held["A", "OLD"] + held["B", "OLD"])
            for each in "AB":
                held[each, new] += held[each, "OLD"] * 3
                held[each, "OLD"] *= spun
            day += timedelta(days=1)
    history = History(
        OWN, tuple(acquisitions), tuple(disposals), tuple(splits), tuple(changes), tuple(reorganizations),
        tuple(transfers), gifts=tuple(gifts), receipts=tuple(receipts),
    )  # fmt: skip
    return redeemed(history, taken), held, paid


def _sold_spun_and_bought_again():
    """All units are sold the day before a spin-off, and bought again the day after."""
    history = History(
        OWN,
        (
            bought("l0", "2024-06-03", "A", "1", "100", asset="OLD"),
            bought("l1", "2024-06-06", "A", "1", "90", asset="OLD"),
        ),
        (sold("s", "2024-06-04", "A", "1", "120", asset="OLD"),),
        reorganizations=(Reorganization(date(2024, 6, 5), "OLD", "SPUN", 3, 1, Decimal("0.4")),),
    )
    held = {(account, asset): Decimal(0) for account in "AB" for asset in ("OLD", "NEW", "SPUN")}
    return history, held | {("A", "OLD"): Decimal(1)}, Decimal(0)


@EACH_COUNTRY
@settings(max_examples=30)
@given(drawn=eventful_histories(), seed=st.integers())
@example(drawn=_sold_spun_and_bought_again(), seed=0)
def test_any_sequence_of_events_keeps_every_unit_and_every_cent_in_any_order_of_rows(rules, drawn, seed):
    history, held, paid = drawn
    got = rules.assess(history.checked(date(2035, 1, 1)), 2025)
    pieces = [piece for each in got.disposals for piece in each.pieces]

    came_in = sum(row.cost for row in rules.settled(history).acquisitions)
    came_in += sum(row.amount for row in history.cost_changes)
    # Pieces without units: capital that came back is taken off what was paid, and what a merger paid is in `paid`.
    proceeds = paid + sum(piece.proceeds for piece in pieces if piece.quantity)
    gains = sum(piece.counted_gain + piece.exempt_gain for piece in pieces)
    left = sum(each.cost for each in got.remaining)
    # What was paid, and what was gained on it, is what came back, is still there, or was lost and never counts.
    assert came_in + gains == proceeds + left + got.permanently_lost
    assert sum(piece.quantity for piece in pieces) == sum(row.quantity for row in (*history.disposals, *history.gifts))
    for asset in ("OLD", "NEW", "SPUN"):
        units = sum(each.quantity for each in got.remaining if each.asset == asset)
        assert units == held["A", asset] + held["B", asset]

    shuffled = random.Random(seed)

    def mixed(rows):
        return tuple(shuffled.sample(rows, len(rows)))

    again = History(
        mixed(history.accounts), mixed(history.acquisitions), mixed(history.disposals), mixed(history.splits),
        mixed(history.cost_changes), mixed(history.reorganizations), mixed(history.transfers),
        gifts=mixed(history.gifts), receipts=mixed(history.receipts),
    )  # fmt: skip
    assert rules.assess(again, 2025) == got


def us(**changes):
    return History(
        accounts=(*OWN, TaxAccount("IRA", sheltered=True), TaxAccount("SPOUSE", Owner.AFFILIATED)), **changes
    )


THREE_LOTS = (
    bought("old", "2023-01-10", "A", "10", "100"),
    bought("dear", "2025-01-10", "A", "10", "300"),
    bought("new", "2025-02-10", "A", "10", "200"),
)


@pytest.mark.parametrize(
    ("method", "cost", "term"),
    [
        (LotMethod.FIRST_IN_FIRST_OUT, "100", Term.LONG),
        (LotMethod.LAST_IN_FIRST_OUT, "200", Term.SHORT),
        (LotMethod.HIGHEST_COST, "300", Term.SHORT),
        # 300 were gained on `old` at 15 %, and 100 and 200 on the others at 24 %: 45 against 24 and 48.
        (LotMethod.LOWEST_TAX, "300", Term.SHORT),
        (LotMethod.AVERAGE_COST, "200", Term.LONG),
    ],
)
def test_each_lot_method_takes_its_lots(method, cost, term):
    disposal = Disposal("s", date(2025, 6, 2), "A", "ACME", Decimal(10), Decimal(400), (), method)
    rules = UnitedStatesYear(ordinary_income=Decimal(150_000))

    (piece,) = rules.assess(us(acquisitions=THREE_LOTS, disposals=(disposal,)), 2025).disposals[0].pieces
    assert (piece.cost, piece.term, piece.rule) == (Decimal(cost), term, method.value)


def test_lots_that_are_named_go_before_the_method():
    disposal = Disposal("s", date(2025, 6, 2), "A", "ACME", Decimal(15), Decimal(600), ("new",), LotMethod.HIGHEST_COST)

    pieces = UnitedStatesYear().assess(us(acquisitions=THREE_LOTS, disposals=(disposal,)), 2025).disposals[0].pieces
    assert {(piece.lot_id, piece.quantity) for piece in pieces} == {("new", 10), ("dear", 5)}


def test_what_is_taken_for_money_is_sold_by_each_account_whole():
    """26 U.S.C. § 1001: all of the cost meets the money. Bought on the day itself is not part of it."""
    history = us(
        acquisitions=(
            bought("l1", "2023-05-01", "A", "100", "1000"), bought("l2", "2025-01-06", "A", "1.5", "30"),
            bought("l3", "2024-01-05", "IRA", "10", "100"), bought("l4", "2025-03-03", "B", "2", "50"),
        ),
        splits=(Split(date(2024, 6, 3), "ACME", 2, 1),),
        transfers=(Transfer("t", date(2024, 2, 1), "A", "SPOUSE", "ACME", Decimal(25)),),
        gifts=(Gift("g", date(2025, 2, 3), "A", "ACME", Decimal(10), Decimal(200), Recipient.CHARITY),),
    )  # fmt: skip
    got = UnitedStatesYear().assess(redeemed(history, {"m": Redemption(date(2025, 3, 3), "ACME", Decimal(25))}), 2025)

    (sale,) = (each for each in got.disposals if each.disposal_ids == ("m:A",))
    # 75 left, 150 after the split, 10 given: 140 that had cost 700, and 1.5 that had cost 30.
    assert (sale.quantity, sale.proceeds) == (Decimal("141.5"), Decimal("3537.50"))
    assert {(piece.term, piece.cost) for piece in sale.pieces} == {(Term.LONG, 700), (Term.SHORT, 30)}
    assert [(each.account_id, each.quantity) for each in got.remaining] == [("B", 2)]


@EACH_COUNTRY
def test_a_part_of_a_unit_that_comes_of_a_merger_is_sold_for_what_is_paid_for_it(rules):
    """Rev. Rul. 66-365: money for a fraction is as if the fraction came and was sold."""
    history = History(
        OWN,
        (bought("l", "2023-05-01", "A", "15", "300", asset="OLD"),),
        reorganizations=(Reorganization(date(2025, 3, 3), "OLD", "NEW", 1, 2),),
        disposals=(sold("fraction", "2025-03-03", "A", "0.5", "23.10", asset="NEW"),),
    )
    got = rules.assess(history.checked(TODAY), 2025)

    (piece,) = got.disposals[0].pieces
    # 300 for 7.5 new ones: half of one had cost 20.
    assert (piece.cost, piece.gain) == (20, Decimal("3.10"))
    assert sum(each.cost for each in got.remaining) == 280


def test_a_spin_off_shares_cost_by_its_part_and_keeps_the_holding_period():
    # 26 U.S.C. § 358(b)(2), Treas. Reg. § 1.358-2(a)(2)(iv): by what both are worth; here 80 and 20 of 100.
    history = us(
        acquisitions=(bought("l", "2023-05-01", "A", "100", "1000", asset="OLD"),),
        reorganizations=(Reorganization(date(2025, 3, 3), "OLD", "SPUN", 1, 4, Decimal("0.2")),),
        disposals=(sold("s", "2025-03-04", "A", "25", "500", asset="SPUN"),),
    )

    got = UnitedStatesYear().assess(history.checked(TODAY), 2025)
    (piece,) = got.disposals[0].pieces
    assert (piece.cost, piece.term, piece.acquired_date) == (Decimal(200), Term.LONG, date(2023, 5, 1))
    (left,) = got.remaining
    assert (left.asset, left.quantity, left.cost) == ("OLD", 100, 800)


def _over_a_reorganization(row, *, again):
    """Hold 10 for 100 each, sell 4 of them, then `row` happens, then buy `again` units within 30 days of the sale."""
    history = History(
        OWN,
        (
            bought("l", "2024-01-03", "A", "10", "1000", asset="OLD"),
            *((bought("again", "2024-06-06", "A", again, "80", asset="OLD"),) if again else ()),
        ),
        (sold("s", "2024-06-03", "A", "4", "480", asset="OLD"),),
        reorganizations=(row,),
    )
    return UnitedKingdom().assess(history.checked(TODAY), 2024)


def test_units_that_are_away_for_30_days_in_the_united_kingdom_get_nothing_of_a_spin_off_and_keep_their_cost():
    """TCGA 1992 s. 126(1)(a): the original shares are those held before the reorganisation, here 6 of the pool's 10."""
    spin = Reorganization(date(2024, 6, 5), "OLD", "SPUN", 3, 1, Decimal("0.25"))
    got = _over_a_reorganization(spin, again="4")

    assert [(piece.rule, piece.cost) for each in got.disposals for piece in each.pieces] == [
        (MatchRule.THIRTY_DAYS, 80)
    ]
    # The 6 held had cost 600, of which a quarter goes along; the 400 of the other 4 stay in the pool.
    assert [(each.asset, each.quantity, each.cost) for each in got.remaining] == [("OLD", 10, 850), ("SPUN", 18, 150)]

    # Without the later purchase the 4 came out of the pool before.
    kept = _over_a_reorganization(spin, again=None)
    assert [(each.asset, each.quantity, each.cost) for each in kept.remaining] == [("OLD", 6, 450), ("SPUN", 18, 150)]


def test_units_that_are_away_for_30_days_in_the_united_kingdom_get_no_money_of_a_merger():
    # 6 held become 6 new ones worth 120 each, and 600 each of money, too much to be small: five sixths of 600 of cost.
    merger = Reorganization(date(2024, 6, 5), "OLD", "NEW", 1, 1, Decimal(1), Decimal(600), Decimal(120))
    got = _over_a_reorganization(merger, again="4")

    money = next(each for each in got.disposals if not each.disposal_ids)
    assert (money.proceeds, money.counted_gain) == (3600, 3600 - 500)
    # The 4 bought again under the old name have what the pool's other 4 had cost.
    assert [(each.asset, each.quantity, each.cost) for each in got.remaining] == [("NEW", 6, 100), ("OLD", 4, 400)]


def test_more_sold_than_held_over_a_reorganization_in_the_united_kingdom_is_refused():
    history = History(
        OWN,
        (
            bought("l", "2024-01-03", "A", "1", "100", asset="OLD"),
            bought("m", "2024-06-06", "A", "2", "80", asset="OLD"),
        ),
        (sold("s", "2024-06-03", "A", "2", "240", asset="OLD"),),
        reorganizations=(Reorganization(date(2024, 6, 5), "OLD", "SPUN", 3, 1, Decimal("0.25")),),
    )

    with pytest.raises(SoldMoreThanHeld, match="1 units were sold before 2024-06-05 that were bought only afterwards"):
        UnitedKingdom().assess(history, 2024)


def test_what_a_merger_gives_is_no_replacement_but_a_purchase_of_the_new_asset_is():
    lots = (bought("l", "2024-01-02", "A", "10", "1000", asset="OLD"),)
    merger = (Reorganization(date(2025, 3, 3), "OLD", "NEW", 2, 1),)
    sale = (sold("s", "2025-03-10", "A", "10", "300", asset="NEW"),)
    again = bought("again", "2025-03-20", "A", "4", "100", asset="NEW")

    alone = UnitedStatesYear().assess(us(acquisitions=lots, reorganizations=merger, disposals=sale), 2025)
    washed = UnitedStatesYear().assess(us(acquisitions=(*lots, again), reorganizations=merger, disposals=sale), 2025)
    assert alone.disposals[0].counted_gain == -200
    # 4 of the 10 are replaced, and their part of the loss of 200 waits.
    assert washed.disposals[0].counted_gain == -120


def test_a_purchase_of_an_identical_asset_replaces_unit_by_unit():
    history = us(
        acquisitions=(
            bought("l", "2024-01-02", "A", "10", "1000", asset="SPY"),
            bought("r", "2025-03-20", "SPOUSE", "6", "500", asset="VOO"),
        ),
        disposals=(sold("s", "2025-03-10", "A", "10", "800", asset="SPY"),),
        identical={"SPY": "S&P 500", "VOO": "S&P 500"},
    )

    got = UnitedStatesYear().assess(history, 2025)
    assert got.amount("wash_sales_disallowed") == 120
    (left,) = got.remaining
    assert (left.asset, left.cost, left.acquired_date) == ("VOO", 620, date(2025, 3, 20))


@pytest.mark.parametrize(
    ("rules", "gains"), [(RULES[0], [50]), (RULES[1], [50]), (RULES[2], [50]), (RULES[3], [])],
    ids=lambda each: type(each).__name__,
)  # fmt: skip
def test_capital_returned_beyond_the_cost_is_a_gain_but_in_germany_a_cost_below_nothing(rules, gains):
    # EStG § 20 Abs. 1 Nr. 1 Satz 3: what comes back of capital is no income; it lowers the cost, below zero too.
    history = History(
        OWN, (bought("l", "2024-01-10", "A", "10", "100"),),
        cost_changes=(CostChange(date(2025, 3, 3), "A", "ACME", Decimal(-150)),),
    )  # fmt: skip

    got = rules.assess(history, 2025)
    assert [each.counted_gain for each in got.disposals] == gains
    assert [each.cost for each in got.remaining] == ([-50] if not gains else [0])


def test_lots_of_identical_assets_stay_apart_when_they_are_sold():
    history = us(
        acquisitions=(
            bought("l", "2024-01-02", "A", "10", "1000", asset="SPY"),
            bought("r", "2023-03-20", "A", "10", "500", asset="VOO"),
        ),
        disposals=(sold("s", "2025-03-10", "A", "10", "1200", asset="SPY"),),
        identical={"SPY": "S&P 500", "VOO": "S&P 500"},
    )

    assert UnitedStatesYear().assess(history, 2025).disposals[0].counted_gain == 200


@EACH_COUNTRY
def test_a_transfer_between_own_accounts_changes_neither_cost_nor_time(rules):
    moved = History(
        accounts=OWN,
        acquisitions=(bought("l1", "2023-01-10", "A", "10", "100"), bought("l2", "2024-01-10", "A", "10", "300")),
        transfers=(Transfer("t", date(2025, 1, 7), "A", "B", "ACME", Decimal(10)),),
        disposals=(sold("s", "2025-06-02", "B", "10", "400"),),
    ).checked(TODAY)

    gain = rules.assess(moved, 2025).disposals[0].counted_gain
    # Averages over all accounts, else the oldest went along.
    assert gain == (200 if type(rules) in (UnitedKingdom, Canada) else 300)


def test_more_cannot_be_transferred_than_is_held():
    transfers = (Transfer("t", date(2025, 1, 7), "A", "B", "ACME", Decimal(11)),)
    history = History(accounts=OWN, acquisitions=(bought("l1", "2023-01-10", "A", "10", "100"),), transfers=transfers)

    for rules in (UnitedStatesYear(), Germany()):
        with pytest.raises(SoldMoreThanHeld, match="1 units transferred on 2025-01-07"):
            rules.assess(history, 2025)


@EACH_COUNTRY
def test_a_lot_of_unknown_cost_counts_as_nothing_paid_and_is_listed(rules):
    lot = Acquisition("l", date(2023, 1, 10), "A", "ACME", Decimal(10), Decimal(0), cost_known=False)
    got = rules.assess(History(OWN, (lot,), (sold("s", "2025-06-02", "A", "10", "400"),)), 2025)

    assert got.disposals[0].counted_gain == 400
    assert got.review == ("lot l: its cost is unknown and was taken as 0",)


def test_events_that_cannot_be_are_refused_by_name():
    history = us(
        acquisitions=(bought("l", "2023-01-10", "A", "10", "100"),),
        reorganizations=(
            Reorganization(date(2025, 1, 2), "X", "Y", 1, 1, Decimal("1.5")),
            Reorganization(date(2025, 1, 3), "Y", "X", 0, 1),
            Reorganization(date(2025, 1, 4), "Z", "Z", 1, 1),
            Reorganization(date(2025, 1, 5), "Q", "R", 1, 1, Decimal("0.5"), Decimal(3)),
        ),
        transfers=(
            Transfer("t1", date(2025, 1, 2), "A", "IRA", "ACME", Decimal(1)),
            Transfer("t2", date(2025, 1, 2), "A", "A", "ACME", Decimal(1)),
            Transfer("t3", date(2025, 1, 2), "A", "Q", "ACME", Decimal(0)),
        ),
    )

    with pytest.raises(Invalid) as caught:
        history.checked(TODAY)
    said = {violation.field: violation.description for violation in caught.value.violations}
    assert said["reorganizations[0].cost_part"] == "must be above 0 and at most 1, was 1.5"
    assert said["reorganizations[1].new_units"] == "must be above 0, was 0"
    assert said["reorganizations[2].new_asset"] == "must be another asset, was 'Z'"
    assert said["reorganizations[3].money"] == "must be 0 where the old units stay, was 3"
    assert said["reorganizations[3].new_value"] == "must be above 0 where money is paid, was None"
    assert "must not lead back" in said["reorganizations"]
    assert said["transfers[0].value"] == "must be given where one of 'A' and its receiver is sheltered"
    assert said["transfers[1].to_account_id"] == "must be another account, was 'A'"
    assert said["transfers[2].to_account_id"] == "must be one of the accounts given, was 'Q'"
    assert said["transfers[2].quantity"] == "must be above 0, was 0"


def test_what_one_year_carries_forward_is_brought_into_the_next():
    history = History(
        accounts=OWN,
        acquisitions=(bought("l", "2024-01-10", "A", "10", "10000"),),
        disposals=(sold("s", "2024-06-03", "A", "10", "1000"),),
    )

    first = UnitedStatesYear().assess(history, 2024)
    second = UnitedStatesYear().after(first).assess(history, 2025)
    assert first.amount("short_term_carried_forward") == 6000
    assert second.amount("short_term_carried_forward") == 3000
    for rules in (UnitedKingdom(), Canada(), Germany()):
        carried = rules.after(rules.assess(history, 2024))
        assert carried.assess(history, 2025).lines != rules.assess(history, 2025).lines
