"""Over random histories: nothing is lost, the order of rows says nothing, and a slow simulator agrees unit by unit."""

import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.fund_years import FundYear
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    CostChange,
    Disposal,
    History,
    Owner,
    Split,
    TaxAccount,
    part,
)
from services.decision.domain.tax.assessment.results import SoldMoreThanHeld
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.kernel.errors import Invalid
from tests.decision.domain.tax.assessment.histories import ASSET, TODAY, bought, sold

RULES = (UnitedKingdom(), UnitedStatesYear(), Canada(), Germany())
# Telling a history takes longer than assessing it, so each is assessed by the rules of every country.
MANY, FEW = settings(max_examples=150), settings(max_examples=40)
START = date(2024, 6, 1)
ACCOUNTS = (
    TaxAccount("A"),
    TaxAccount("B"),
    TaxAccount("SHELTER", sheltered=True),
    TaxAccount("SPOUSE", Owner.AFFILIATED),
)


# Made once: to make a strategy takes longer than to draw from it.
_LATER_DAYS, _UNITS, _CENTS = st.sampled_from((0, 0, 1, 7, 15, 30, 31)), st.integers(1, 12), st.integers(0, 200_00)
_HOW_MANY, _SOLD = st.integers(1, 14), st.booleans()


@st.composite
def histories(draw, accounts=ACCOUNTS, whole=False):
    """Trades of one asset in few units on few days, so that they meet; no account ever sells more than it has.

    `whole`: each unit has a price in whole cents, so that no rule has anything to round.
    """
    acquisitions, disposals, held = [], [], {account.account_id: 0 for account in accounts}
    day, account_ids = START, st.sampled_from([account.account_id for account in accounts])
    for number in range(draw(_HOW_MANY)):
        day += timedelta(days=draw(_LATER_DAYS))
        account_id = draw(account_ids)
        units = draw(_UNITS)
        cents = draw(_CENTS)
        if held[account_id] and draw(_SOLD):
            units = min(units, held[account_id])
            held[account_id] -= units
            amount = Decimal(cents * units if whole else cents) / 100
            disposals.append(Disposal(f"s{number}", day, account_id, ASSET, Decimal(units), amount))
        else:
            held[account_id] += units
            amount = Decimal(cents * units if whole else cents) / 100
            acquisitions.append(Acquisition(f"l{number}", day, account_id, ASSET, Decimal(units), amount))
    return History(accounts, tuple(acquisitions), tuple(disposals))


@MANY
@given(history=histories(accounts=ACCOUNTS[:2]))
def test_every_cent_of_cost_and_every_disallowed_loss_is_in_a_disposal_or_still_held(history):
    paid = sum(row.cost for row in history.acquisitions)
    for rules in RULES:
        got = rules.assess(history, 2025)
        pieces = [piece for each in got.disposals for piece in each.pieces]

        in_disposals = sum(piece.cost for piece in pieces)
        held = sum(each.cost for each in got.remaining)
        assert paid + sum(piece.disallowed_loss for piece in pieces) == in_disposals + held, rules


@MANY
@given(history=histories(), seed=st.integers())
def test_the_order_of_rows_says_nothing(history, seed):
    shuffled = random.Random(seed)
    rows = [list(history.acquisitions), list(history.disposals), list(history.accounts)]
    for each in rows:
        shuffled.shuffle(each)

    again = History(tuple(rows[2]), tuple(rows[0]), tuple(rows[1]))
    for rules in RULES:
        assert rules.assess(again, 2025) == rules.assess(history, 2025), rules


@MANY
@given(history=histories(), ratio=st.sampled_from(((2, 1), (1, 2), (3, 2))), after=st.integers(0, 150))
def test_a_split_changes_no_amount(history, ratio, after):
    """The same history told in the units of its day, with a split in between."""
    day = START + timedelta(days=after)
    factor = Fraction(*ratio)
    before = replace(history, splits=())

    def scaled(row):
        units = Fraction(row.quantity) * 6
        old = units / factor if row.day < day else units
        return replace(row, quantity=Decimal(old.numerator) / Decimal(old.denominator))

    told = History(
        history.accounts,
        tuple(scaled(row) for row in history.acquisitions),
        tuple(scaled(row) for row in history.disposals),
        (Split(day, ASSET, *ratio),),
    )

    for rules in RULES:
        plain, split = rules.assess(before, 2025), rules.assess(told, 2025)
        assert split.lines == plain.lines, rules
        assert [each.counted_gain for each in split.disposals] == [each.counted_gain for each in plain.disposals]


@given(history=histories(accounts=ACCOUNTS[:1]))
def test_the_united_kingdom_agrees_with_matching_unit_by_unit(history):
    expected = _matched_unit_by_unit(history)

    got = {each.day: each.counted_gain for each in UnitedKingdom().assess(history, 2025).disposals}
    assert got.keys() == expected.keys()
    for day, gain in expected.items():
        # Each piece rounds its cost and its proceeds to the cent, and so may what is left of a pool before it.
        assert abs(Fraction(got[day]) - gain) <= Fraction(1, 10), day


def _matched_unit_by_unit(history):
    """TCGA s. 105, 106A, 104 in the plainest way: every unit is a thing of its own with an exact cost."""
    bought_units = [
        [row.day, Fraction(row.cost) / int(row.quantity)]
        for row in sorted(history.acquisitions, key=lambda each: each.day)
        for _ in range(int(row.quantity))
    ]
    # All purchases of one day are one: each of its units cost the day's average.
    for day in {each[0] for each in bought_units}:
        of_day = [each for each in bought_units if each[0] == day]
        average = sum(each[1] for each in of_day) / len(of_day)
        for each in of_day:
            each[1] = average
    days = sorted({row.day for row in history.disposals})
    open_units = {day: int(sum(row.quantity for row in history.disposals if row.day == day)) for day in days}
    gains = {day: Fraction(sum(row.proceeds for row in history.disposals if row.day == day)) for day in days}
    windows = (
        lambda sale, purchase: purchase == sale,
        lambda sale, purchase: sale < purchase <= sale + timedelta(days=30),
    )
    for matches in windows:
        for day in days:
            for unit in list(bought_units):
                if open_units[day] and matches(day, unit[0]):
                    gains[day] -= unit[1]
                    open_units[day] -= 1
                    bought_units.remove(unit)
    pool: list[Fraction] = []
    for day in sorted({*days, *(each[0] for each in bought_units)}):
        pool += [each[1] for each in bought_units if each[0] == day]
        for _ in range(open_units.get(day, 0)):
            average = sum(pool) / len(pool)
            gains[day] -= average
            pool = [average] * (len(pool) - 1)
    return gains


@given(history=histories(accounts=ACCOUNTS[:3], whole=True))
def test_the_united_states_agree_with_washing_share_by_share(history):
    expected = _washed_share_by_share(history)

    got = {each.disposal_ids[0]: each.counted_gain for each in UnitedStatesYear().assess(history, 2025).disposals}
    assert got == expected


def _washed_share_by_share(history):
    """26 U.S.C. § 1091 in the plainest way: every share has its own basis, and replaces at most one other."""
    shares = [
        {"day": row.day, "lot": row.lot_id, "account": row.account_id, "basis": Fraction(row.cost) / int(row.quantity)}
        for row in sorted(history.acquisitions, key=lambda each: (each.day, each.lot_id))
        for _ in range(int(row.quantity))
    ]
    sheltered = {account.account_id for account in history.accounts if account.sheltered}
    gains: dict[str, Fraction] = {}
    for day in sorted({row.day for row in history.disposals}):
        of_day = sorted((row for row in history.disposals if row.day == day), key=lambda each: each.disposal_id)
        gone = []
        for row in of_day:
            for _ in range(int(row.quantity)):
                share = next(each for each in shares if each["account"] == row.account_id and each["day"] <= day)
                shares.remove(share)
                gone.append((share, row))
        for share, row in sorted(gone, key=lambda each: (each[0]["day"], each[0]["lot"])):
            if row.account_id in sheltered:
                continue
            gain = Fraction(row.proceeds) / int(row.quantity) - share["basis"]
            if gain < 0:
                other = next(
                    (
                        each
                        for each in shares
                        if "used" not in each and each["lot"] != share["lot"] and abs((each["day"] - day).days) <= 30
                    ),
                    None,
                )
                if other is not None:
                    other["used"] = True
                    other["basis"] -= gain if other["account"] not in sheltered else 0
                    gain = Fraction(0)
            gains[row.disposal_id] = gains.get(row.disposal_id, Fraction(0)) + gain
    return gains


@FEW
@given(history=histories())
def test_canada_agrees_with_averages_and_the_least_of_ratio_in_fractions(history):
    expected = _averaged_day_by_day(history)

    got = {each.day: each.counted_gain for each in Canada().assess(history, 2025).disposals}
    assert got.keys() == expected.keys()
    for day, gain in expected.items():
        # Each cost, each denied loss and each holder's part of it is rounded to the cent, and so is what follows.
        assert abs(Fraction(got[day]) - gain) <= Fraction(1, 10), day


def _averaged_day_by_day(history):
    """ITA s. 47(1), s. 54, s. 53(1)(f) in the plainest way: sums over all rows, anew for each sale."""
    own = {each.account_id for each in history.accounts if each.owner is Owner.TAXPAYER and not each.sheltered}
    holders = {each.account_id: "own" if each.account_id in own else each.account_id for each in history.accounts}

    def units(rows, holder, first, last):
        return sum(
            (int(row.quantity) for row in rows if holders[row.account_id] == holder and first <= row.day <= last), 0
        )

    gains: dict[date, Fraction] = {}
    held, cost, joins = Fraction(0), Fraction(0), dict[date, Fraction]()
    for day in sorted({row.day for row in (*history.acquisitions, *history.disposals)}):
        of_day = [row for row in history.acquisitions if row.day == day and row.account_id in own]
        held += sum(int(row.quantity) for row in of_day)
        cost += sum(Fraction(row.cost) for row in of_day) + joins.pop(day, Fraction(0))
        sales = [row for row in history.disposals if row.day == day and row.account_id in own]
        if not sales:
            continue
        gone = sum(int(row.quantity) for row in sales)
        gain = sum(Fraction(row.proceeds) for row in sales) - cost * gone / held
        held, cost = held - gone, cost - cost * gone / held
        begin, end = day - timedelta(days=30), day + timedelta(days=30)
        acquired = {each: units(history.acquisitions, each, begin, end) for each in set(holders.values())}
        kept = {
            each: units(history.acquisitions, each, date.min, end) - units(history.disposals, each, date.min, end)
            for each in acquired
        }
        replacing = {each: min(acquired[each], kept[each]) for each in acquired}
        denied = Fraction(0)
        if gain < 0 and sum(replacing.values()):
            denied = -gain * min(gone, sum(acquired.values()), sum(kept.values())) / gone
            first = min((row.day for row in history.acquisitions if row.account_id in own and begin <= row.day <= end),
                        default=day)  # fmt: skip
            ours = denied * replacing["own"] / sum(replacing.values())
            if first > day:
                joins[first] = joins.get(first, Fraction(0)) + ours
            else:
                cost += ours
        gains[day] = gain + denied
    return gains


@FEW
@given(history=histories(accounts=ACCOUNTS[:2]))
def test_germany_agrees_with_the_oldest_units_of_each_depot(history):
    left = {account.account_id: [] for account in history.accounts}
    for row in sorted(history.acquisitions, key=lambda each: (each.day, each.lot_id)):
        left[row.account_id] += [(row.day, Fraction(row.cost) / int(row.quantity))] * int(row.quantity)
    expected = {}
    for row in sorted(history.disposals, key=lambda each: (each.day, each.disposal_id)):
        count = int(row.quantity)
        expected[row.disposal_id] = Fraction(row.proceeds) - sum(cost for _, cost in left[row.account_id][:count])
        del left[row.account_id][:count]

    got = {each.disposal_ids: each.counted_gain for each in Germany().assess(history, 2025).disposals}
    assert {name for names in got for name in names} == expected.keys()
    for names, gain in got.items():
        # Each lot's part of a cost is rounded to the cent.
        assert abs(Fraction(gain) - sum(expected[name] for name in names)) <= Fraction(1, 10), names


def over_years(history):
    """Spread the rows over years from 2019 on, in their order; amounts are a thousand times as much."""

    def later(row):
        day = date(2019, 2, 4) + (row.day - START) * 12
        amounts = {"cost": row.cost * 1000} if isinstance(row, Acquisition) else {"proceeds": row.proceeds * 1000}
        return replace(row, day=day, **amounts)

    return replace(
        history,
        acquisitions=tuple(later(row) for row in history.acquisitions),
        disposals=tuple(later(row) for row in history.disposals),
    )


FUND = Germany({ASSET: AssetKind.EQUITY_FUND}, tuple(FundYear(ASSET, y, Decimal(9), Decimal(12)) for y in (2019, 2023)))


@FEW
@given(history=histories().map(over_years))
@pytest.mark.parametrize("rules", [*RULES, FUND], ids=["GB", "US", "CA", "DE", "a fund in DE"])
def test_one_walk_over_a_history_says_what_one_for_each_year_says(rules, history):
    earlier = rules
    for year in range(2018, 2026):
        earlier = earlier.after(earlier.assess(history, year))

    carried, assessed = rules.carried_and_assessed(history, 2026)
    assert carried == earlier
    assert assessed == earlier.assess(history, 2026)
    assert rules.carried_into(history, 2026) == carried


@given(amount=st.integers(0, 10**9), units=st.integers(0, 50), of=st.integers(1, 50))
def test_parts_are_whole_cents_and_all_units_bear_all_of_it(amount, units, of):
    value = Decimal(amount) / 100

    assert part(value, Fraction(of), Fraction(of)) == value
    share = part(value, Fraction(min(units, of)), Fraction(of))
    assert share == share.quantize(Decimal("0.01"))
    assert abs(Fraction(share) - Fraction(value) * min(units, of) / of) <= Fraction(1, 200)


def test_a_return_of_capital_lowers_the_cost_of_what_is_held():
    history = History(
        accounts=(TaxAccount("A"),),
        acquisitions=(bought("l1", "2025-01-02", "A", "10", "1000"),),
        disposals=(sold("s1", "2025-05-01", "A", "10", "1000"),),
        cost_changes=(CostChange(date(2025, 3, 3), "A", ASSET, Decimal(-100)),),
    )

    assert [rules.assess(history, 2025).disposals[0].counted_gain for rules in RULES] == [100, 100, 100, 100]


def test_a_history_that_cannot_be_is_refused_with_each_field_value_and_limit():
    history = History(
        accounts=(TaxAccount("A"), TaxAccount("A")),
        acquisitions=(bought("l1", "1899-12-31", "A", "0", "-1"), bought("l1", "2027-01-01", "Z", "1", "1")),
        disposals=(sold("", "2025-01-02", "A", "-1", "1"),),
        splits=(Split(date(2025, 1, 2), ASSET, 0, 1),),
    )

    with pytest.raises(Invalid) as caught:
        history.checked(TODAY)

    assert {violation.field for violation in caught.value.violations} == {
        "accounts[1].account_id",
        "acquisitions[0].date",
        "acquisitions[0].quantity",
        "acquisitions[0].cost",
        "acquisitions[1].lot_id",
        "acquisitions[1].date",
        "acquisitions[1].account_id",
        "disposals[0].disposal_id",
        "disposals[0].quantity",
        "splits[0].new_units",
    }
    said = {violation.field: violation.description for violation in caught.value.violations}
    assert said["acquisitions[0].date"] == "must be from 1900-01-01 to 2026-11-28, was 1899-12-31"


def test_a_sale_before_its_purchase_is_refused():
    history = History(
        accounts=(TaxAccount("A"),),
        acquisitions=(bought("l1", "2025-06-02", "A", "10", "1000"),),
        disposals=(sold("s1", "2025-01-02", "A", "10", "1000"),),
    )

    for rules in RULES:
        with pytest.raises(SoldMoreThanHeld):
            rules.assess(history, 2025)
