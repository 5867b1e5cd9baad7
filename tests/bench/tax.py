"""Tax: a year-end of a hundred thousand accounts, and the marginal costs of lots beside the optimiser's kernel.

The compiled year-end is compared with the exact assessment of a few of the same households, and must agree with each of
them to the cent. Time is processor time of this process.
"""

import time
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import numpy as np

from services.decision.domain.kernel.batch import pack, solve_columns
from services.decision.domain.tax.assessment.history import Acquisition, Disposal, History, TaxAccount
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.decision.domain.tax.batch import Households, YearColumns, year_end
from services.decision.domain.tax.batch.columns import STATUSES
from services.decision.domain.tax.batch.marginal import marginal_costs
from services.decision.domain.tax.batch.whole import UNIT
from services.decision.domain.tax.batch.years import TAX
from services.decision.domain.tax.laws import LAWS
from tests.bench.accounts import SMALL, accounts
from tests.bench.results import Result, interleaved

ACCOUNTS, LOTS, ASSETS, SALES = 100_000, 100, 20, 10
# Accounts of one household: their purchases wash each other's losses.
TOGETHER = 2
# Accounts held at once, so that memory stays bounded.
CHUNK = 10_000
COMPARED = 40
YEAR, TODAY = 2025, date(2025, 12, 31)
BATCH = 10_000


def year_end_100k() -> Sequence[Result]:
    """Measure liability, losses worth harvesting and wash windows of 100,000 accounts: 100 lots and 10 sales each."""
    prices = np.random.default_rng(1).integers(40 * UNIT, 160 * UNIT, ASSETS)
    some = _columns(COMPARED * TOGETHER, seed=0)
    taken = year_end(some, YEAR, TODAY.toordinal(), prices)
    exact_s = _exact(some, taken.years[:, TAX])
    spent = 0.0
    for chunk in range(ACCOUNTS // CHUNK):
        columns = _columns(CHUNK, seed=chunk)
        started = time.process_time()
        year_end(columns, YEAR, TODAY.toordinal(), prices)
        spent += time.process_time() - started
    whole = exact_s / COMPARED * ACCOUNTS / TOGETHER
    said = f"the exact assessment, of {COMPARED} households"
    return [Result("tax.year_end_100k_s", spent, "s of one core", said, whole, whole / spent)]


def year_ends_elsewhere() -> Sequence[Result]:
    """Measure the exact assessment in the countries that have no compiled one: the same histories, by their laws."""
    columns = _columns(COMPARED * TOGETHER, seed=0)
    histories = [_history(columns, household)[1] for household in range(COMPARED)]
    taken: dict[str, float] = {}
    for code in ("US", "GB", "CA", "DE"):
        rules = LAWS[code].assessing
        started = time.process_time()
        for history in histories:
            rules.assess(history, YEAR)
        taken[code] = (time.process_time() - started) / (COMPARED * TOGETHER)
    return [
        Result(
            f"tax.year_end_{code.lower()}_per_s", 1 / taken[code], "accounts/s of one core", "the exact one of the US",
            1 / taken["US"], taken["US"] / taken[code],
        )
        for code in ("GB", "CA", "DE")
    ]  # fmt: skip


def marginal_batch() -> Sequence[Result]:
    """Measure what every lot of 10,000 accounts would cost at the margin, beside the kernel's time for them."""
    batch = pack(accounts(SMALL, 500, seed=3))
    solve_columns(batch)
    each = round(SMALL.instruments * SMALL.lots)
    lots = BATCH * each
    rng = np.random.default_rng(2)
    starts = np.arange(BATCH + 1) * each
    days = rng.integers(TODAY.toordinal() - 2000, TODAY.toordinal(), lots)
    units, bases = rng.integers(UNIT, 100 * UNIT, lots), rng.integers(0, 10**6, lots)
    prices = rng.integers(40 * UNIT, 160 * UNIT, lots)
    realized = rng.integers(-(10**6), 10**6, (BATCH, 2))
    rates = np.tile(np.array([4080, 2380]), (BATCH, 1))
    marginal_costs(starts, days, units, bases, prices, realized, rates, TODAY.toordinal())

    def kernel() -> float:
        started = time.process_time()
        solve_columns(batch)
        return (time.process_time() - started) * BATCH / 500

    def ours() -> float:
        started = time.process_time()
        marginal_costs(starts, days, units, bases, prices, realized, rates, TODAY.toordinal())
        return time.process_time() - started

    taken = interleaved(3, {"kernel": kernel, "ours": ours})
    ratio = taken["ours"] / taken["kernel"]
    return [
        Result(
            "tax.marginal_batch_ratio", ratio, "of the kernel's time", "the kernel, in s", taken["kernel"], 1 / ratio
        )
    ]


def _columns(count: int, seed: int) -> YearColumns:
    """Return random histories of `count` accounts: each household's lots of one asset are a group."""
    rng = np.random.default_rng([7, seed])
    houses, per = count // TOGETHER, LOTS // ASSETS
    groups = houses * ASSETS
    each = per * TOGETHER
    rows = groups * each
    start, today = date(2021, 1, 4).toordinal(), TODAY.toordinal()
    days = np.sort(rng.integers(start, today + 1, (groups, each)), axis=1)
    house = np.repeat(np.arange(houses), ASSETS)
    asset = np.tile(np.arange(ASSETS), houses)
    member = np.tile(np.repeat(np.arange(TOGETHER), per), (groups, 1))
    member = rng.permuted(member, axis=1)
    units = rng.integers(1, 40, (groups, each)) * UNIT
    bases = units // UNIT * rng.integers(50_00, 150_00, (groups, each))
    # A sale of one unit in the year, of a lot that its account has had since before the year.
    sales = SALES * TOGETHER // ASSETS
    owned = member[:, :1].repeat(sales, axis=1)
    sold = np.sort(rng.integers(date(YEAR, 1, 2).toordinal(), today + 1, (groups, sales)), axis=1)
    days[:, 0] = start
    people = np.arange(houses)
    return YearColumns(
        households=Households(
            status=people % len(STATUSES),
            ordinary_income=rng.integers(0, 500_000_00, houses),
            short_brought_forward=rng.integers(0, 2_000_00, houses),
            long_brought_forward=np.zeros(houses, dtype=np.int64),
            investment_income=np.zeros(houses, dtype=np.int64),
            state_rate=np.full(houses, 500),
        ),
        taxed=np.ones(count, dtype=np.bool_),
        sheltered=np.zeros(count, dtype=np.bool_),
        group_households=house,
        lot_starts=np.arange(groups + 1) * each,
        lot_accounts=(house[:, None] * TOGETHER + member).reshape(rows),
        lot_assets=asset.repeat(each),
        lot_days=days.reshape(rows),
        lot_units=units.reshape(rows),
        lot_bases=bases.reshape(rows),
        sale_starts=np.arange(groups + 1) * sales,
        sale_accounts=(house[:, None] * TOGETHER + owned).reshape(groups * sales),
        sale_assets=asset.repeat(sales),
        sale_days=sold.reshape(groups * sales),
        sale_units=np.full(groups * sales, UNIT),
        sale_proceeds=rng.integers(50_00, 150_00, groups * sales),
        named_starts=np.zeros(groups * sales + 1, dtype=np.int64),
        named_lots=np.zeros(0, dtype=np.int64),
    )


def _exact(columns: YearColumns, taxes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    """Assess every household exactly, and return how long that took."""
    spent = 0.0
    for household in range(len(taxes)):
        rules, history = _history(columns, household)
        started = time.process_time()
        tax = rules.assess(history, YEAR).amount("tax")
        spent += time.process_time() - started
        if int(tax.scaleb(2)) != taxes[household]:
            raise RuntimeError(
                f"household {household} owes {tax} by the exact assessment, not {taxes[household]} cents"
            )
    return spent


def _history(columns: YearColumns, household: int) -> tuple[UnitedStatesYear, History]:
    facts, bought, sold = columns.households, [], []
    for group in np.flatnonzero(columns.group_households == household):
        for row in range(columns.lot_starts[group], columns.lot_starts[group + 1]):
            place = date.fromordinal(int(columns.lot_days[row])), f"A{columns.lot_accounts[row]}", f"X{group:06}"
            units, cost = Decimal(int(columns.lot_units[row])) / UNIT, Decimal(int(columns.lot_bases[row])) / 100
            bought.append(Acquisition(f"l{row:09}", *place, units, cost))
        for row in range(columns.sale_starts[group], columns.sale_starts[group + 1]):
            place = date.fromordinal(int(columns.sale_days[row])), f"A{columns.sale_accounts[row]}", f"X{group:06}"
            paid = Decimal(int(columns.sale_proceeds[row])) / 100
            sold.append(Disposal(f"s{row:09}", *place, Decimal(int(columns.sale_units[row])) / UNIT, paid))
    members = tuple(TaxAccount(f"A{household * TOGETHER + each}") for each in range(TOGETHER))

    def dollars(cents: np.int64) -> Decimal:
        return Decimal(int(cents)) / 100

    rules = UnitedStatesYear(
        FilingStatus(STATUSES[int(facts.status[household])]),
        dollars(facts.ordinary_income[household]),
        dollars(facts.short_brought_forward[household]),
        dollars(facts.long_brought_forward[household]),
        dollars(facts.investment_income[household]),
        Decimal(int(facts.state_rate[household])) / 10_000,
    )
    return rules, History(members, tuple(bought), tuple(sold))
