"""Batches: the road from a caller's columns beside the road from values, and everything that can be wrong with them."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from evenkeel.common.v1.columns_pb2 import DecimalColumn
from evenkeel.decision.v1 import batch_service_pb2 as pb
from evenkeel.decision.v1 import plan_service_pb2 as plan_pb
from evenkeel.decision.v1.explanation_pb2 import NoTradeReason
from services.decision.api.batches import answer_bytes, batch_of
from services.decision.domain.batches import BatchInvalid
from services.decision.domain.bulk import columns as c
from services.decision.domain.bulk import decide_many
from services.decision.domain.bulk.alone import decide_alone
from services.decision.domain.bulk.batch_check import check
from services.decision.domain.bulk.batching import answer, decide_batch, gather
from services.decision.domain.bulk.road import decide_columns
from services.decision.domain.columns import EPOCH
from services.decision.domain.decide import decide
from services.decision.domain.problem import (
    AccountProblem,
    Band,
    CashRule,
    DecideOptions,
    Engine,
    Holding,
    Limits,
    LotId,
    LotState,
    Objective,
    RiskModel,
    Side,
    TaxProfile,
)
from services.kernel.ids import AccountId, InstrumentId
from tests.support.batches import a_request, decimals

# The first on a machine compiles, a minute of processor time.
pytestmark = [pytest.mark.timeout(600)]

TRADE, NO_TRADE, FAILED = plan_pb.Plan.OUTCOME_TRADE, plan_pb.Plan.OUTCOME_NO_TRADE, plan_pb.Plan.OUTCOME_FAILED


def decided(request: pb.PreviewBatchRequest) -> pb.PreviewBatchResponse:
    batch = batch_of(request)
    check(batch)
    return pb.PreviewBatchResponse.FromString(answer_bytes(decide_batch(batch), "engine/1"))


def numbers(column: DecimalColumn) -> list[Decimal]:
    return [Decimal(units).scaleb(-column.scale) for units in column.units]


def problems_of(request: pb.PreviewBatchRequest) -> tuple[list[AccountProblem], RiskModel]:
    """Return the accounts of a request as values, read the slow way."""
    of, models, own = request.instruments, request.models, request.accounts
    ids = [InstrumentId(each) for each in of.instrument_ids]
    prices, increments, spreads = numbers(of.prices), numbers(of.quantity_increments), numbers(of.spreads_bps)
    weights = {
        (model, instrument): weight
        for model, instrument, weight in zip(
            models.target_models, models.target_instruments, numbers(models.target_weights), strict=True
        )
    }
    bases, units = numbers(request.lots.bases), numbers(request.lots.quantities)
    lots: dict[int, list[LotState]] = {}
    for row, position in enumerate(request.lots.positions):
        day = EPOCH + timedelta(days=request.lots.acquired_dates.days[row])
        lots.setdefault(position, []).append(LotState(LotId(f"{row:08}"), day, units[row], bases[row]))
    held: dict[int, dict[int, int]] = {}
    for position, (account, instrument) in enumerate(
        zip(request.positions.accounts, request.positions.instruments, strict=True)
    ):
        held.setdefault(account, {})[instrument] = position
    problems = []
    for account, (model, cash) in enumerate(zip(own.models, numbers(own.cash), strict=True)):
        wanted = {instrument for of_model, instrument in weights if of_model == model} | held.get(account, {}).keys()
        band = Band(numbers(models.triggers)[model], numbers(models.destinations)[model])
        holdings = []
        for instrument in sorted(wanted):
            position = held.get(account, {}).get(instrument)
            barred = position is not None and request.positions.no_buy[position]
            holdings.append(
                Holding(
                    ids[instrument],
                    prices[instrument],
                    increments[instrument],
                    weights.get((model, instrument), Decimal(0)),
                    band,
                    lots=() if position is None else tuple(lots[position]),
                    spread_bps=spreads[instrument],
                    no_buy="barred" if barred else None,
                )
            )
        problems.append(
            AccountProblem(
                account_id=AccountId(own.account_ids[account]),
                currency="USD",
                as_of_date=date(2026, 3, 16),
                cash=cash,
                holdings=tuple(holdings),
                tax=TaxProfile(
                    "US", True, numbers(own.short_term_rates)[account], numbers(own.long_term_rates)[account]
                ),
                objective=Objective(
                    risk_aversion=numbers(models.risk_aversions)[model],
                    band_excess_price=numbers(models.band_excess_prices)[model],
                    tax_weight=numbers(models.tax_weights)[model],
                ),
                cash_rule=CashRule(floor_weight=numbers(models.cash_floors)[model]),
                limits=Limits(turnover=numbers(models.turnover_limits)[model]),
            )
        )
    exposures = np.array(of.factor_exposures.units, dtype=np.int64).reshape(len(ids), -1) / 10**9
    risk = RiskModel(tuple(ids), exposures, np.array(of.specific_variances.units) / 1e9, "by hand")
    return problems, risk


# In basis points.
ADDED_UP = Decimal("0.0001")


def test_the_plans_are_those_of_the_accounts_as_values():
    request = a_request(40, 3, increment=10_000, regardless=False)
    response = decided(request)
    problems, risk = problems_of(request)
    options = [DecideOptions(engine=Engine.COLUMNS)] * len(problems)

    trades: dict[int, list[int]] = {}
    for row, account in enumerate(response.trades.accounts):
        trades.setdefault(account, []).append(row)
    quantities, net = numbers(response.trades.quantities), numbers(response.trades.net_benefits)
    outcomes = set()
    for account, decision in enumerate(decide_many(problems, risk, options)):
        assert decision is not None
        theirs = {
            each.instrument_id: each.quantity if each.side is Side.BUY else -each.quantity for each in decision.trades
        }
        ours = {
            request.instruments.instrument_ids[response.trades.instruments[row]]: quantities[row]
            for row in trades.get(account, [])
        }
        assert ours == theirs
        told = {each.instrument_id: each.net_benefit for each in decision.explanation.trades}
        own = {
            request.instruments.instrument_ids[response.trades.instruments[row]]: net[row]
            for row in trades.get(account, [])
        }
        assert own.keys() == told.keys()
        assert all(abs(own[each] - told[each]) <= Decimal("0.01") for each in own)
        certificate, summary, plans = decision.certificate, decision.explanation.summary, response.plans
        # As values an account has only those pieces of its tax that its lots can reach: added up in another order.
        assert abs(numbers(plans.primal_bps)[account] - certificate.primal_bps) <= ADDED_UP
        assert abs(numbers(plans.dual_bound_bps)[account] - certificate.dual_bps) <= ADDED_UP
        assert numbers(plans.idle_bps)[account] == certificate.hold_bps
        assert numbers(plans.cash_after)[account] == summary.cash_after
        assert numbers(plans.drifts_after)[account] == summary.drift_after
        # Columns round each lot's part of the tax by itself.
        lots = sum(len(each.lot_sales) for each in decision.trades)
        apart = numbers(plans.taxes)[account] - numbers(plans.tax_credits)[account]
        apart -= summary.tax_realized - summary.tax_saved
        assert abs(apart) <= Decimal("0.01") * lots
        assert plan_pb.Plan.Outcome.Name(plans.outcomes[account]) == f"OUTCOME_{decision.outcome}"
        reason = decision.explanation.no_trade_reason or "UNSPECIFIED"
        assert NoTradeReason.Name(plans.no_trade_reasons[account]) == f"NO_TRADE_REASON_{reason}"
        outcomes.add(decision.outcome)
    assert len(outcomes) == 2
    assert not response.errors


def test_accounts_that_the_columns_leave_open_are_decided_by_themselves():
    request = a_request(24, 12, regardless=False)
    alone, barred = range(0, 24, 3), 6
    positions = {position for position, account in enumerate(request.positions.accounts) if account == barred}
    for lot, position in enumerate(request.lots.positions):
        if position in positions:
            request.lots.kept[lot] = True
    batch = batch_of(request)
    check(batch)
    gathered = gather(batch)
    plans = decide_columns(gathered.inputs)
    # As where no optimum is reached, which no account here does.
    plans.accounts[alone, c.OUTCOME], plans.accounts[alone, c.WHY] = c.OTHER_ROAD, c.NOT_REACHED
    without = decide_alone(batch, gathered, plans)
    response = pb.PreviewBatchResponse.FromString(answer_bytes(answer(batch, gathered, plans, without), "engine/1"))

    assert not response.errors
    assert {response.plans.outcomes[row] for row in alone} == {TRADE, NO_TRADE}
    problems, risk = problems_of(request)
    quantities = numbers(response.trades.quantities)
    for account in alone:
        rows = [row for row, each in enumerate(response.trades.accounts) if each == account]
        ours = {request.instruments.instrument_ids[response.trades.instruments[row]]: quantities[row] for row in rows}
        if account == barred:
            # What the caller keeps is kept here too.
            assert min(ours.values(), default=0) >= 0
            continue
        theirs = decide(problems[account], risk, DecideOptions(engine=Engine.KERNEL))
        traded = {
            each.instrument_id: each.quantity if each.side is Side.BUY else -each.quantity for each in theirs.trades
        }
        assert ours == traded
        assert numbers(response.plans.primal_bps)[account] == theirs.certificate.primal_bps
        assert numbers(response.plans.dual_bound_bps)[account] == theirs.certificate.dual_bps
        assert numbers(response.plans.cash_after)[account] == theirs.explanation.summary.cash_after
        sold = {
            request.instruments.instrument_ids[response.trades.instruments[trade]]
            for trade in response.sales.trades
            if trade in rows
        }
        assert sold == {each.instrument_id for each in theirs.trades if each.lot_sales}


def test_limits_on_names_and_least_positions_are_kept_by_the_plan_that_the_account_gets_as_values():
    request = a_request(16, 5, regardless=False)
    names, least = [11, 0] * 5, np.array([0, 400_000] * 5)
    free = decided(request)
    request.models.names_limits.extend(names)
    request.models.minimum_positions.CopyFrom(decimals(least, 2))
    response = decided(request)
    problems, risk = problems_of(request)

    assert not response.errors
    moved = 0
    for row, (problem, model) in enumerate(zip(problems, request.accounts.models, strict=True)):
        floor = Decimal(int(least[model])).scaleb(-2)
        holdings = tuple(replace(each, minimum_position=floor) for each in problem.holdings)
        limited = replace(problem, holdings=holdings, limits=replace(problem.limits, names=names[model] or None))
        held = {each.instrument_id: each for each in holdings}
        left = {name: each.quantity for name, each in held.items()}
        ours = _traded(request, response, row)
        for name, units in ours.items():
            left[name] += units
            emptied = units < 0 and left[name] < held[name].quantity_increment
            assert emptied or left[name] * held[name].price >= floor
        if ours and names[model]:
            assert sum(left[name] >= each.quantity_increment for name, each in held.items()) <= names[model]
        primal, bound = numbers(response.plans.primal_bps)[row], numbers(response.plans.dual_bound_bps)[row]
        if ours != _traded(request, free, row):
            moved += 1
            theirs = decide(limited, risk, DecideOptions(engine=Engine.KERNEL))
            assert (primal, bound) == (theirs.certificate.primal_bps, theirs.certificate.dual_bps)
            # A limit more makes no plan better.
            assert primal >= numbers(free.plans.dual_bound_bps)[row]
    assert 3 <= moved < len(problems)


def _traded(request: pb.PreviewBatchRequest, response: pb.PreviewBatchResponse, account: int) -> dict[str, Decimal]:
    ids, quantities = request.instruments.instrument_ids, numbers(response.trades.quantities)
    trades = zip(response.trades.accounts, response.trades.instruments, quantities, strict=True)
    return {ids[instrument]: units for row, instrument, units in trades if row == account}


def test_an_account_without_any_plan_is_told_which_limits_are_in_conflict():
    request = a_request(3, 13)
    # Nothing may be sold, and the cash that must be there is not.
    model = request.accounts.models[1]
    request.positions.no_sell.extend(account == 1 for account in request.positions.accounts)
    request.accounts.cash.units[1] = 0
    request.models.cash_floors.units[model] = 500
    response = decided(request)

    (error,) = [each for each in response.errors if each.account == 1]
    assert error.reason == "PLAN_UNSOLVED"
    assert "no plan keeps every limit" in error.description
    assert "cash" in error.description


def test_what_is_sold_adds_up_to_its_trades_and_stays_inside_its_lots():
    request = a_request(60, 4)
    response = decided(request)
    sold = np.zeros(len(response.trades.accounts), dtype=np.int64)
    np.add.at(sold, np.array(response.sales.trades, dtype=np.int64), np.array(response.sales.quantities.units))
    quantities = np.array(response.trades.quantities.units)
    lots = np.array(response.sales.lots, dtype=np.int64)

    assert (response.sales.quantities.scale, response.trades.quantities.scale) == (4, 4)
    assert np.array_equal(sold, np.maximum(-quantities, 0))
    assert (np.array(response.sales.quantities.units) <= np.array(request.lots.quantities.units)[lots]).all()
    positions = np.array(request.lots.positions, dtype=np.int64)[lots]
    of_trade = np.array(response.sales.trades, dtype=np.int64)
    assert np.array_equal(np.array(request.positions.accounts)[positions], np.array(response.trades.accounts)[of_trade])
    assert np.array_equal(
        np.array(request.positions.instruments)[positions], np.array(response.trades.instruments)[of_trade]
    )


def test_a_covariance_decides_as_its_factors_do():
    request = a_request(10, 5)
    exposures = np.array(request.instruments.factor_exposures.units).reshape(20, -1) / 1e9
    covariance = exposures @ exposures.T + np.diag(np.array(request.instruments.specific_variances.units) / 1e9)
    other = pb.PreviewBatchRequest()
    other.CopyFrom(request)
    other.instruments.ClearField("factor_exposures")
    other.instruments.ClearField("specific_variances")
    other.instruments.covariances.CopyFrom(decimals(1e9 * covariance, 9))

    values = [np.array(decided(each).plans.primal_bps.units) / 1e6 for each in (request, other)]

    assert values[0] == pytest.approx(values[1], abs=0.01)


def broken(request: pb.PreviewBatchRequest) -> dict[int, tuple[str, str]]:
    """Break an account in each way that there is; return field and description by row."""
    positions = {}
    for position, account in enumerate(request.positions.accounts):
        positions.setdefault(account, position)
    first = {}
    for lot, position in enumerate(request.lots.positions):
        first.setdefault(position, lot)
    units, quantities = request.lots.quantities.units, request.positions.quantities.units
    expected = {}

    request.accounts.currencies.words.append("EUR")
    request.accounts.currencies.indexes[0] = 1
    expected[0] = ("accounts.currencies[0]", "must be USD, was EUR")
    request.accounts.models[1] = 77
    expected[1] = ("accounts.models[1]", "must be below 10, was 77")
    request.accounts.short_term_rates.units[2] = 1_001
    expected[2] = ("accounts.short_term_rates[2]", "must be from 0 to 1, was 1.001")
    quantities[positions[3]] = -5
    expected[3] = (f"positions.quantities[{positions[3]}]", "must be above 0 and fit 59 bits, was -0.0005")
    lot = first[positions[4]]
    units[lot] += 10_000
    total = sum(units[each] for each, of in enumerate(request.lots.positions) if of == positions[4])
    expected[4] = (
        f"positions.quantities[{positions[4]}]",
        f"must be the sum of its lots, which is {total // 10_000}.{total % 10_000:04}".rstrip("0")
        + f", was {Decimal(quantities[positions[4]]).scaleb(-4).normalize():f}",
    )
    lot = first[positions[5]]
    request.lots.acquired_dates.days[lot] += 10_000
    day = EPOCH + timedelta(days=request.lots.acquired_dates.days[lot])
    expected[5] = (f"lots.acquired_dates[{lot}]", f"must not be after 2026-03-16, was {day}")
    lot = first[positions[6]]
    request.lots.bases.units[lot] = -1
    expected[6] = (f"lots.bases[{lot}]", "must be at least 0 and fit 59 bits, was -0.01")
    request.positions.instruments[positions[7] + 1] = request.positions.instruments[positions[7]]
    twice = request.instruments.instrument_ids[request.positions.instruments[positions[7]]]
    expected[7] = (f"positions.instruments[{positions[7] + 1}]", f"{twice} must be there once in an account")
    request.accounts.cash.units[8] = -(10**12)
    expected[8] = (
        "accounts.cash[8]",
        "the account must be worth more than 0 and fit 59 bits; its cash was -10000000000",
    )
    request.accounts.account_ids[9] = request.accounts.account_ids[10]
    expected[10] = ("accounts.account_ids[10]", f"{request.accounts.account_ids[10]} must be there once")
    lot = first[positions[11]]
    units[lot] = 0
    expected[11] = (f"lots.quantities[{lot}]", "must be above 0 and fit 59 bits, was 0")
    request.accounts.cash.units[12] = 2**62
    expected[12] = ("accounts.cash[12]", f"must fit 59 bits at the scale of the batch, was {Decimal(2**62).scaleb(-2)}")
    return expected


def test_nothing_in_a_batch_of_ten_thousand_fails_because_accounts_are_broken():
    whole = a_request(10_000, 6, lots_mean=1.5, lots_max=2, regardless=False, torn=False)
    request = pb.PreviewBatchRequest()
    request.CopyFrom(whole)
    expected = broken(request)
    right = decided(whole)
    response = decided(request)

    assert {each.account: (each.field, each.description) for each in response.errors} == expected
    assert {each.reason for each in response.errors} == {"BOOK_INVALID"}
    assert [each.account_id for each in response.errors] == [request.accounts.account_ids[each] for each in expected]
    outcomes = np.array(response.plans.outcomes)
    rest = np.setdiff1d(np.arange(10_000), list(expected))
    assert (outcomes[list(expected)] == FAILED).all()
    assert np.isin(outcomes[rest], [TRADE, NO_TRADE]).all()
    # The others get the plans that they get without the broken ones.
    for name in ("primal_bps", "dual_bound_bps", "cash_after", "taxes"):
        ours, theirs = (getattr(each.plans, name).units for each in (response, right))
        assert np.array_equal(np.array(ours)[rest], np.array(theirs)[rest])
    gaps = (np.array(response.plans.primal_bps.units) - np.array(response.plans.dual_bound_bps.units))[rest]
    # In millionths of a basis point. What is sold of a lot is told in whole cents, half a cent beside what it is worth.
    assert gaps.min() >= -100


def test_a_target_without_a_price_fails_the_accounts_that_follow_it():
    request = a_request(30, 7)
    target = 0
    instrument = request.models.target_instruments[target]
    model = request.models.target_models[target]
    held = {
        account
        for account, of in zip(request.positions.accounts, request.positions.instruments, strict=True)
        if of == instrument
    }
    request.instruments.prices.units[instrument] = 0
    response = decided(request)
    name = request.instruments.instrument_ids[instrument]
    following = {row for row, each in enumerate(request.accounts.models) if each == model}

    failed = {each.account: each.description for each in response.errors}
    assert following | held <= failed.keys()
    assert set(failed.values()) == {f"{name} has no price"}


def _nan_has_no_place(request):
    # Numbers are integers: what is not a number cannot be written.
    with pytest.raises(TypeError):
        request.instruments.prices.units.append(float("nan"))
    request.instruments.prices.units[2] = -7


WRONG = {
    "a price below 0": (
        _nan_has_no_place,
        "instruments.prices[2]: must be at least 0, was -0.07",
    ),
    "no increment": (
        lambda r: r.instruments.quantity_increments.units.__setitem__(1, 0),
        "instruments.quantity_increments[1]: must be above 0, was 0",
    ),
    "a column that is too short": (
        lambda r: r.accounts.cash.units.pop(),
        "accounts.cash: must have 12 rows, had 11",
    ),
    "a row that does not exist": (
        lambda r: r.positions.instruments.__setitem__(4, 20),
        "positions.instruments[4]: must be below 20, was 20",
    ),
    "rows out of order": (
        lambda r: r.positions.accounts.__setitem__(0, 3),
        "positions.accounts[1]: must be at least 3, which the row before has, was 0",
    ),
    "weights above 1": (
        lambda r: r.models.target_weights.units.__setitem__(0, 9_900),
        "those of model 0 must sum to at most 1",
    ),
    "a destination beyond its trigger": (
        lambda r: r.models.destinations.units.__setitem__(3, 30),
        "models.destinations[3]: must be at most the trigger 0.02, was 0.03",
    ),
    "an instrument twice": (
        lambda r: r.instruments.instrument_ids.__setitem__(5, "FUND004"),
        "FUND004 must be there once",
    ),
    "no variance of its own": (
        lambda r: r.instruments.specific_variances.units.__setitem__(6, 0),
        "instruments.specific_variances[6]: must be above 0, was 0",
    ),
    "a least position below 0": (
        lambda r: r.models.minimum_positions.CopyFrom(decimals(np.array([0] * 9 + [-5]), 2)),
        "models.minimum_positions[9]: must be at least 0, was -0.05",
    ),
    "limits on names of some models": (
        lambda r: r.models.names_limits.extend([12] * 9),
        "models.names_limits: must have 10 rows, had 9",
    ),
    "places beyond what is kept": (
        lambda r: setattr(r.instruments.spreads_bps, "scale", 8),
        "instruments.spreads_bps.scale: must be at most 6, was 8",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_accounts_share_is_refused_with_name_value_and_limit(name):
    request = a_request(12, 8)
    breaks, said = WRONG[name]
    breaks(request)

    with pytest.raises(BatchInvalid) as refused:
        decided(request)
    assert said in refused.value.message


def test_an_account_that_is_taxed_by_the_rules_of_the_united_states_is_planned_in_dollars_only():
    request = a_request(2, 1)
    request.currency = "EUR"
    for taxable in ([], [False, True]):
        del request.accounts.taxable[:]
        request.accounts.taxable.extend(taxable)
        with pytest.raises(BatchInvalid, match="currency: must be USD where an account is taxable, was EUR"):
            check(batch_of(request))
    request.accounts.taxable[1] = False
    check(batch_of(request))


def _with_covariance(matrix):
    request = a_request(2, 9, instruments=3, models=1)
    request.instruments.ClearField("factor_exposures")
    request.instruments.ClearField("specific_variances")
    request.instruments.covariances.CopyFrom(decimals(np.array(matrix) * 1e4, 4))
    return request


def test_a_covariance_that_is_none_is_refused_by_the_names_of_its_instruments():
    with pytest.raises(BatchInvalid) as refused:
        decided(_with_covariance([[0.04, 0.05, 0], [0.05, 0.04, 0], [0, 0, 0.01]]))
    assert "must be positive semidefinite, but the portfolio that is mostly FUND00" in refused.value.message
    with pytest.raises(BatchInvalid) as refused:
        decided(_with_covariance([[0.04, 0.01, 0], [0.02, 0.04, 0], [0, 0, 0.01]]))
    assert "of FUND000 and FUND001 must be the same both ways, was 0.01 and 0.02" in refused.value.message
    # One that is singular is decided.
    assert list(decided(_with_covariance([[0.04, 0.04, 0], [0.04, 0.04, 0], [0, 0, 0.01]])).plans.outcomes)
