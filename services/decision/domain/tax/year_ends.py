"""The year-ends of many taxpayers: by columns where these can say a history, else by the exact assessment.

Households of the United States go by columns, all in one pass of compiled code; everybody else, and who has what
columns cannot say, goes one by one. Which road it was makes no difference: a test holds both to each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import numpy as np

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import Acquisition, History
from services.decision.domain.tax.assessment.results import TaxRules, check_year, review_of
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.batch import year_end
from services.decision.domain.tax.batch.columns import NotInColumns, in_groups, laid_out, not_in_columns, price_units
from services.decision.domain.tax.batch.whole import UNIT_SCALE
from services.decision.domain.tax.batch.year_end import YearEnd as Columns
from services.decision.domain.tax.batch.years import LINES
from services.decision.domain.tax.currencies import tax_currency
from services.decision.domain.tax.differences import differences
from services.decision.domain.tax.filing import Filed, Filer, Filing
from services.decision.domain.tax.laws import LAWS
from services.decision.domain.tax.ledger import known_until, ledger_history
from services.decision.domain.tax.year_end import OpenLoss, Window, YearEnd, exact_year_end
from services.kernel.decimals import plain
from services.kernel.errors import Fact


@dataclass(frozen=True, slots=True)
class Said:
    """A taxpayer.

    Attributes:
        rules: With the law's amounts in force and what is known of the taxpayer.
        prices: In the law's currency, where an account is kept in another; None for the prices of all.
    """

    rules: TaxRules
    history: History
    prices: Mapping[str, Decimal] | None = None


def year_ends(
    said: Sequence[Said], tax_year: int, today: date, prices: Mapping[str, Decimal]
) -> tuple[YearEnd | Fact, ...]:
    """Return each taxpayer's year-end, or why there is none; the others go on.

    Args:
        said: Settled histories; the unused losses of their earlier years are brought forward here.
        tax_year: By the year in which it begins.
        today: Day on which losses are open.
        prices: Of one unit of each asset today; what has none loses nothing.
    """
    found: dict[int, YearEnd | Fact] = {}
    compiled: dict[int, list[tuple[int, UnitedStatesYear, History]]] = {}
    for place, each in enumerate(said):
        if each.prices is not None or not isinstance(each.rules, UnitedStatesYear):
            continue
        if _in_columns(each.rules, each.history, tax_year, prices):
            compiled.setdefault(id(each.rules.years), []).append((place, each.rules, each.history))
    for some in compiled.values():
        found |= _by_columns(some, tax_year, today, prices)
    for place, each in enumerate(said):
        if place not in found:
            worth = prices if each.prices is None else each.prices
            try:
                found[place] = exact_year_end(each.rules, each.history, tax_year, today, worth)
            except Fact as fact:
                found[place] = fact
    return tuple(found[place] for place in range(len(said)))


def _in_columns(rules: UnitedStatesYear, history: History, tax_year: int, prices: Mapping[str, Decimal]) -> bool:
    quoted = [prices[asset] for asset in history.assets if asset in prices]
    if tax_year not in rules.years or not all(quoted) or any(price_units(each) is None for each in quoted):
        return False
    return not not_in_columns(rules, history)


def _by_columns(
    said: Sequence[tuple[int, UnitedStatesYear, History]], tax_year: int, today: date, prices: Mapping[str, Decimal]
) -> dict[int, YearEnd]:
    """Return the year-ends of households by their place, but of those whose history is broken."""
    if not said:
        return {}
    years = said[0][1].years
    assets = {name: row for row, name in enumerate(sorted({each for _, _, history in said for each in history.assets}))}
    quoted = np.array([price_units(prices.get(name, ZERO)) for name in assets], dtype=np.int64)
    columns = laid_out([(rules, history) for _, rules, history in said], assets)
    try:
        done = year_end(columns, tax_year, today.toordinal(), quoted, years)
    except NotInColumns:
        # The law's amounts are finer than whole numbers say.
        return {}
    template = UnitedStatesYear(years=years).assess(History(()), tax_year).lines
    found: dict[int, YearEnd] = {}
    lot = group = 0
    for row, (place, _, history) in enumerate(said):
        losses: list[OpenLoss] = []
        windows: list[Window] = []
        for assets_of, (lots, _) in zip(history.groups_in_order, in_groups(history), strict=True):
            losing = np.flatnonzero(done.losses[lot : lot + len(lots)])
            losses += [_open_loss(lots[number], done, lot + int(number)) for number in losing]
            if done.no_buy_days[group]:
                opens = date.fromordinal(int(done.no_buy_days[group]))
                windows += [Window(asset, opens) for asset in assets_of]
            lot, group = lot + len(lots), group + 1
        if done.missing[row]:
            continue
        found[place] = YearEnd(
            tuple(replace(line, amount=_amount(line.name, done, row)) for line in template),
            _money(done.permanently_lost[row]),
            _money(done.savings[row]),
            tuple(sorted(losses, key=lambda each: (each.account_id, each.asset, each.lot_id or ""))),
            tuple(sorted(windows, key=lambda each: each.asset)),
            review_of(history),
            compiled=True,
        )
    return found


def _open_loss(row: Acquisition, done: Columns, lot: int) -> OpenLoss:
    free = int(done.free_days[lot])
    quantity = Decimal(plain(Decimal(int(done.losing_units[lot])).scaleb(-UNIT_SCALE)))
    day = date.fromordinal(free) if free else None
    return OpenLoss(row.account_id, row.asset, row.lot_id, quantity, _money(done.losses[lot]), day)


def _amount(name: str, done: Columns, row: int) -> Decimal:
    if name == "wash_sales_disallowed":
        return _money(done.disallowed[row])
    return _money(done.years[row, LINES[name]]) if name in LINES else ZERO


def _money(cents_: np.int64) -> Decimal:
    return Decimal(int(cents_)).scaleb(-2)


def filed(filing: Filing, filers: Sequence[Filer]) -> tuple[Filed, ...]:
    """Return the year-end of each of many taxpayers from what is on record, or why there is none, in order."""
    refused: dict[int, Fact] = {}
    said: dict[int, Said] = {}
    breaks: dict[int, int] = {}
    for place, filer in enumerate(filers):
        try:
            said[place] = _said(filing, filer)
        except Fact as fact:
            refused[place] = fact
            continue
        breaks[place] = len(differences(filer.accounts, said[place].history))
    done = dict(zip(said, year_ends([*said.values()], filing.tax_year, filing.day, filing.prices), strict=True))
    return tuple(
        Filed(refused[place] if place in refused else done[place], breaks.get(place, 0)) for place in range(len(filers))
    )


def _said(filing: Filing, filer: Filer) -> Said:
    rules = filer.rules
    check_year(rules.code, filing.tax_year, filing.law.years[rules.code])
    kept = {each.account_id: each.account.currency for each in filer.accounts}
    exchange = tax_currency(LAWS[rules.code], kept, filer.rates)
    in_force = filing.law.under(rules).with_kinds(filer.kinds).with_fund_years(filer.fund_years)
    settled = LAWS[rules.code].by_settlement
    history = ledger_history(
        filer.accounts, filer.events, filer.identical, filer.identical_from, settled=settled, exchange=exchange
    )
    history = in_force.settled(history.checked(known_until(filer.accounts, filing.today, settled=settled)))
    prices = None if exchange is None else exchange.prices(filing.prices, filing.day, history)
    return Said(in_force, history, prices)
