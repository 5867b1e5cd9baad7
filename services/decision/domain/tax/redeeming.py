"""What is taken for money in every account is sold by each, whole: one sale for each account that held some of it.

What an account held is known only from its history until then, so a redemption waits until all rows are there.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction

from services.decision.domain.tax.assessment.history import (
    QUANTITY_PLACES,
    Acquisition,
    Disposal,
    Gift,
    History,
    Receipt,
    Reorganization,
    Transfer,
    cents,
)
from services.decision.domain.tax.assessment.rows import Redemption
from services.kernel.decimals import EXACT


def redeemed(history: History, redemptions: Mapping[str, Redemption]) -> History:
    """Return the history with each account's sale of what was taken for money.

    Args:
        history: Without them.
        redemptions: By the name of each; a sale is called by it and its account.
    """
    for name, row in sorted(redemptions.items(), key=lambda each: (each[1].day, each[1].asset, each[0])):
        sales = tuple(
            Disposal(f"{name}:{account_id}", row.day, account_id, row.asset, units, _worth(row, units))
            for account_id, units in _held_before(history, row)
        )
        history = replace(history, disposals=(*history.disposals, *sales))
    return history


def _held_before(history: History, row: Redemption) -> Sequence[tuple[str, Decimal]]:
    """Return what each account held of the asset when the day began, to nine places, by account."""
    earlier = history.until(row.day - timedelta(days=1))
    # What a snapshot of that day or later says, it says without what was taken.
    known = tuple(each for each in earlier.acquisitions if each.known_from < row.day)
    split = tuple(each for each in history.splits if each.day <= row.day)
    held = units_held(replace(earlier, acquisitions=known, splits=split))
    found = ((account_id, _rounded_down(units)) for (account_id, asset), units in held.items() if asset == row.asset)
    return sorted((account_id, units) for account_id, units in found if units > 0)


def _worth(row: Redemption, units: Decimal) -> Decimal:
    return cents(Fraction(row.money) * Fraction(units))


def _rounded_down(units: Fraction) -> Decimal:
    return Decimal(units.numerator * 10**9 // units.denominator).scaleb(-9).quantize(QUANTITY_PLACES, ROUND_FLOOR)


def units_held(history: History) -> dict[tuple[str, str], Fraction]:
    """Return what each account has of each asset at the end of the history, in units after the last split."""
    if not (history.reorganizations or history.transfers or history.splits):
        return _summed(history)
    held: dict[tuple[str, str], Fraction] = {}
    kinds: dict[type, int] = {Reorganization: 0, Transfer: 1, Acquisition: 2, Receipt: 2, Disposal: 3, Gift: 3}
    rows: list[Acquisition | Receipt | Disposal | Gift | Transfer | Reorganization] = []
    for each in (
        history.reorganizations,
        history.transfers,
        history.acquisitions,
        history.receipts,
        history.disposals,
        history.gifts,
    ):
        rows.extend(each)

    def when(row: Acquisition | Receipt | Disposal | Gift | Transfer | Reorganization) -> tuple[date, int]:
        return row.known_from if isinstance(row, Acquisition) else row.day, kinds[type(row)]

    def change(account_id: str, asset: str, units: Fraction) -> None:
        held[account_id, asset] = held.get((account_id, asset), Fraction(0)) + units

    for row in sorted(rows, key=when):
        match row:
            case Acquisition() | Receipt():
                change(row.account_id, row.asset, history.units(row))
            case Disposal() | Gift():
                change(row.account_id, row.asset, -history.units(row))
            case Transfer():
                change(row.account_id, row.asset, -history.units(row))
                change(row.to_account_id, row.asset, history.units(row))
            case Reorganization():
                for account_id, units in [(a, units) for (a, asset), units in held.items() if asset == row.asset]:
                    change(account_id, row.new_asset, history.become(row, units))
                    if row.ends_old:
                        change(account_id, row.asset, -units)
    return {place: units for place, units in held.items() if units}


def _summed(history: History) -> dict[tuple[str, str], Fraction]:
    """Return the same where nothing becomes anything: the order does not matter, and decimals add up sooner."""
    held: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    came: list[Acquisition | Receipt] = [*history.acquisitions, *history.receipts]
    went: list[Disposal | Gift] = [*history.disposals, *history.gifts]
    for row in came:
        held[row.account_id, row.asset] = EXACT.add(held[row.account_id, row.asset], row.quantity)
    for gone in went:
        held[gone.account_id, gone.asset] = EXACT.subtract(held[gone.account_id, gone.asset], gone.quantity)
    return {place: Fraction(units) for place, units in held.items() if units}
