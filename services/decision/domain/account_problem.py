"""What the optimiser is asked about one account: its book, its policy and the market, as of one instant.

The mix counts everything. What may be traded is narrower: units held elsewhere, locked units, and in an account that is
taxed units whose cost nobody knows, count in the mix and stay where they are. Purchases of the last weeks count for
the wash-sale rules wherever they are, and for every instrument that is substantially identical.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from services.decision.domain.book import AccountBook, HoldingKind, Position, TaxWrapper
from services.decision.domain.crediting import base_rates, credited
from services.decision.domain.freshness import check_ages
from services.decision.domain.grouping import factor_limits, group_limits, identity_sets
from services.decision.domain.instruments import Instrument
from services.decision.domain.market import Market
from services.decision.domain.policy import Policy, Restriction, RestrictionKind
from services.decision.domain.prices import Quote
from services.decision.domain.problem import (
    ONE,
    ZERO,
    AccountProblem,
    Band,
    CashRule,
    Holding,
    Ladder,
    Limits,
    LotId,
    LotState,
    Objective,
    RecentTrade,
    Side,
    TaxProfile,
    TotalTriggers,
)
from services.decision.domain.rates_of_gains import bracket_of, first_short_rate, gain_rules
from services.decision.domain.restricting import barred, restrictions_in_force, sold_out, weights_of_rest
from services.decision.domain.tax import JURISDICTIONS, Jurisdiction, jurisdiction, jurisdiction_on
from services.decision.domain.tax.laws import check_planned
from services.decision.domain.tax_years import in_year
from services.kernel.decimals import EXACT, plain
from services.kernel.errors import Violations
from services.kernel.ids import InstrumentId
from services.kernel.money import Money

# Spreads with a factor are rounded half-even to so many decimals of a basis point.
SPREAD_QUANTUM = Decimal("0.0001")
# Trades this far back may still matter to a wash-sale window; the rules themselves look at 30 days either side.
RECENT_TRADES = timedelta(days=31)
BPS_PER_ONE = Decimal(10_000)


def account_problem(
    account: AccountBook,
    policy: Policy,
    market: Market,
    as_of_time: datetime,
    cash_flow: Decimal = ZERO,
    household_trades: tuple[RecentTrade, ...] = (),
) -> AccountProblem:
    """Return what the optimiser is asked.

    Args:
        account: As the book has it; `recent_trades` reaches back `RECENT_TRADES` or more.
        policy: In force for the account at `as_of_time`.
        market: Has a price and an instrument for everything that is held or has a target.
        as_of_time: The business instant that is decided for.
        cash_flow: Money that came, negative for what went, since the account was decided last; in its currency.

        household_trades: What other accounts of the household traded lately, or are about to.

    Raises:
        PricesStale: The prices are older than the policy allows.
        SnapshotStale: The book is.
        CurrencyWithoutRate: The account is taxed by the law of a country that reckons in another currency.
        Invalid: The inputs contradict each other, or ask for what cannot be done; with one violation per field.
    """
    check_ages(account, policy, market.prices, as_of_time)
    account = replace(account, recent_trades=(*account.recent_trades, *household_trades))
    found = Violations()
    _check_supported(account, policy, found)
    quotes = _quotes(account, policy, market, found)
    minimum_trade = _amount(policy.minimum_trade, "bands.minimum_trade", account, found)
    minimum_position = _amount(policy.minimum_position, "bands.minimum_position", account, found)
    commission = _amount(policy.commission, "cost.commission", account, found)
    _amount(policy.tax.gain_budget, "tax.gain_budget", account, found)
    for year, yearly in sorted(policy.tax.gain_budgets.items()):
        _amount(yearly, f"tax.gain_budgets[{year}]", account, found)
    _amount(policy.tax.gain_harvest_room, "tax.gain_harvest_room", account, found)
    harvest_minimum = _amount(policy.tax.harvest_minimum, "tax.harvest_minimum", account, found)
    allowance = _amount(policy.tax.yearly_allowance, "tax.yearly_allowance", account, found)
    _amount(policy.tax.taxable_income, "tax.taxable_income", account, found)
    flow_minimum = _amount(policy.cash_flow_minimum, "triggers.cash_flow_minimum", account, found)
    net_benefit = _amount(policy.net_benefit_minimum, "triggers.net_benefit_minimum", account, found)
    found.raise_if_any()
    as_of_date = as_of_time.date()
    country = policy.tax.jurisdiction or ""
    # Where nothing is taxed, no law that somebody would have to review is asked.
    taxed = account.tax_wrapper is TaxWrapper.TAXABLE
    rules = jurisdiction_on(country, as_of_date, market.reviewed_years) if taxed else jurisdiction(country)
    if taxed:
        check_planned(country, account.account_id, account.currency)
    if taxed and country == "DE":
        account = _with_lump_sums(account, market, as_of_date)
    restrictions = restrictions_in_force(policy, as_of_time)
    weights = weights_of_rest(policy, restrictions)
    concerned = {*quotes, *(trade.instrument_id for trade in account.recent_trades)}
    identities = identity_sets(concerned, market.instruments, policy.identical)
    holdings = tuple(
        _holding(
            account,
            policy,
            market.instruments[instrument_id],
            quote,
            weights.get(instrument_id, ZERO),
            restrictions.get(instrument_id),
            minimum_trade or ZERO,
            minimum_position or ZERO,
            commission or ZERO,
            identities,
            rules,
        )
        for instrument_id, quote in quotes.items()
    )
    tax_year = rules.year_of_trades(as_of_date)
    realized = account.pots if rules.pots else account.gains
    short, long = realized(rules.tax_year, tax_year)
    carried = account.carried(tax_year)
    said, bracket = gain_rules(policy, market, as_of_date), bracket_of(policy, market, as_of_date)
    problem = AccountProblem(
        account_id=account.account_id,
        currency=account.currency,
        as_of_date=as_of_date,
        cash=account.cash,
        holdings=holdings,
        tax=in_year(
            TaxProfile(
                jurisdiction=policy.tax.jurisdiction or "",
                taxable=account.tax_wrapper is TaxWrapper.TAXABLE,
                short_rate=first_short_rate(policy, bracket),
                realized_short=short,
                realized_long=long,
                carried_short=carried[0],
                carried_long=carried[1],
                lot_method=rules.lot_method or policy.tax.lot_method,
                harvest_minimum=harvest_minimum or ZERO,
                defer_short_term_gains=policy.tax.defer_short_term_gains,
                allowance=allowance,
                lower_rate=ZERO if bracket is None else bracket.lower_rate,
                lower_room=ZERO if bracket is None else bracket.room,
                brackets=None if bracket is None else bracket.brackets,
            ),
            said,
            tax_year,
        ),
        objective=replace(_objective(policy), net_benefit_min=net_benefit or ZERO),
        cash_rule=_cash_rule(account, policy, cash_flow if _is_flow(cash_flow, flow_minimum) else ZERO),
        limits=Limits(
            turnover=policy.turnover_limit, minimum_hold_days=policy.minimum_hold_days, names=policy.names_limit
        ),
        recent_trades=tuple(_recent_trades(account, identities, quotes, as_of_date)),
        ladder=None if policy.ladder_steps is None else Ladder(policy.ladder_steps, policy.ladder_days or 1, said),
        total_triggers=TotalTriggers(policy.total_drift, policy.tracking_error_trigger),
    )
    excluded = [each for each, rule in restrictions.items() if rule.kind is RestrictionKind.EXCLUDED]
    groups = tuple(sold_out(problem, instrument_id) for instrument_id in excluded if instrument_id in quotes)
    groups += tuple(group_limits(problem, policy, market.instruments))
    groups += tuple(factor_limits(problem, policy, market.instruments))
    return replace(problem, limits=replace(problem.limits, groups=groups)) if groups else problem


def _with_lump_sums(account: AccountBook, market: Market, as_of_date: date) -> AccountBook:
    """Return the account with advance lump sums that were taxed in what its funds cost."""
    rates = base_rates(market.amounts)
    positions = tuple(
        replace(each, lots=credited(each.lots, market.instruments[each.instrument_id], rates, as_of_date))
        for each in account.positions
    )
    return replace(account, positions=positions)


def is_due(policy: Policy, decided_date: date | None, as_of_date: date) -> bool:
    """Return whether the account must be decided even inside its bands, because it was not for too long.

    Args:
        policy: Of the account.
        decided_date: Day of the last plan; None when there was none.
        as_of_date: The day decided for.
    """
    if policy.calendar_days is None:
        return False
    return decided_date is None or as_of_date - decided_date >= timedelta(days=policy.calendar_days)


def _check_supported(account: AccountBook, policy: Policy, found: Violations) -> None:
    tax = policy.tax
    if tax.jurisdiction is None:
        found.add("policy.tax.jurisdiction", "must be set")
    if account.tax_wrapper is TaxWrapper.TAXABLE:
        rates = {"short_term_rate": tax.short_term_rate, "long_term_rate": tax.long_term_rate}
        known = JURISDICTIONS.get(tax.jurisdiction or "")
        told = tax.taxable_income is not None and known is not None and known.by_income
        if known is not None and known.terms:
            told = told and tax.filing_status is not None
        for name, value in rates.items():
            if value is None and not told and (name == "long_term_rate" or known is None or known.terms):
                found.add(f"policy.tax.{name}", "must be set for an account that is taxed")
    total = sum(policy.weights.values(), policy.cash_weight)
    if total != ONE:
        found.add("policy.targets", f"weights and cash must sum to 1, were {plain(total)}")


def _quotes(account: AccountBook, policy: Policy, market: Market, found: Violations) -> dict[InstrumentId, Quote]:
    """Return a quote for everything that is held or has a target, by id."""
    wanted = {position.instrument_id for position in account.positions} | set(policy.weights)
    quotes: dict[InstrumentId, Quote] = {}
    for instrument_id in sorted(wanted):
        instrument = market.instruments.get(instrument_id)
        quote = market.prices.quotes.get(instrument_id)
        if instrument is None:
            found.add(f"instruments[{instrument_id}]", "is not known to the book")
        elif instrument.currency != account.currency:
            found.add(
                f"instruments[{instrument_id}].currency", f"must be {account.currency}, was {instrument.currency}"
            )
        if quote is None:
            found.add(f"prices[{instrument_id}]", f"has no price in {market.prices.price_set_id}")
        else:
            quotes[instrument_id] = quote
    return quotes


def _amount(money: Money | None, name: str, account: AccountBook, found: Violations) -> Decimal | None:
    if money is None:
        return None
    if money.currency != account.currency and money.amount != 0:
        found.add(f"policy.{name}", f"must be in {account.currency}, was {money}")
    return money.amount


def _holding(
    account: AccountBook,
    policy: Policy,
    instrument: Instrument,
    quote: Quote,
    target: Decimal,
    restriction: Restriction | None,
    minimum_trade: Decimal,
    minimum_position: Decimal,
    commission: Decimal,
    identities: Mapping[InstrumentId, str],
    rules: Jurisdiction,
) -> Holding:
    positions = [each for each in account.positions if each.instrument_id == instrument.instrument_id]
    traded = [each for each in positions if _is_traded(account, instrument, each)]
    aside = sum((each.quantity for each in positions if each not in traded), ZERO)
    no_buy, no_sell = barred(account, instrument, positions, restriction)
    excluded = restriction is not None and restriction.kind is RestrictionKind.EXCLUDED
    volume = quote.average_daily_volume
    spread = quote.spread_bps
    return Holding(
        instrument_id=instrument.instrument_id,
        price=quote.price,
        quantity_increment=instrument.quantity_increment,
        target_weight=target,
        band=Band(ZERO, ZERO) if excluded else _band(policy, instrument.instrument_id, target),
        lots=rules.costed([lot for position in traded for lot in _lots(position, quote)]),
        spread_bps=_paid(policy.spread_bps if spread is None else spread, policy.spread_factor),
        commission_per_trade=commission,
        average_daily_value=None if not volume else EXACT.multiply(volume, quote.price),
        minimum_trade=minimum_trade,
        minimum_position=minimum_position,
        held_away_value=EXACT.multiply(aside, quote.price),
        weight_max=policy.instrument_weight_limit,
        identity_set=identities[instrument.instrument_id],
        asset_kind=instrument.asset_kind,
        no_buy=no_buy,
        no_sell=no_sell,
    )


def _is_traded(account: AccountBook, instrument: Instrument, position: Position) -> bool:
    cost_matters = account.tax_wrapper is TaxWrapper.TAXABLE
    return position.holding is HoldingKind.TRADED and instrument.tradable and (bool(position.lots) or not cost_matters)


def _lots(position: Position, quote: Quote) -> tuple[LotState, ...]:
    """Return the lots; where cost is unknown, and does not matter, all units are one lot without a gain."""
    if position.lots:
        return position.lots
    basis = EXACT.multiply(position.quantity, quote.price)
    return (LotState(LotId(f"{position.instrument_id}-cost-unknown"), date.min, position.quantity, basis),)


def _band(policy: Policy, instrument_id: InstrumentId, target: Decimal) -> Band:
    destination = policy.own_destinations.get(instrument_id, policy.destination).at(target)
    outer = policy.own_triggers.get(instrument_id, policy.trigger)
    trigger = outer.at(target) if policy.drift_triggers else ONE
    return Band(trigger=max(trigger, destination), destination=destination)


def _objective(policy: Policy) -> Objective:
    # Policy prices a variance of 1 for a year; the objective counts one half of it, for the years it is suffered.
    yearly = policy.tracking_variance_price_bps / BPS_PER_ONE
    return Objective(
        risk_aversion=2 * yearly * policy.horizon_years,
        band_excess_price=policy.band_excess_price_bps / BPS_PER_ONE,
        tax_weight=policy.tax_importance,
        cost_weight=policy.cost_importance,
        loss_credit_weight=ONE if policy.tax.harvest_losses else ZERO,
        impact_coefficient=policy.impact_coefficient,
        horizon_years=policy.horizon_years,
    )


def _paid(spread_bps: Decimal, factor: Decimal) -> Decimal:
    """Return the spread that is reckoned with; as it is quoted when nothing is known to be paid of it but all."""
    if factor == ONE:
        return spread_bps
    return EXACT.multiply(spread_bps, factor).quantize(SPREAD_QUANTUM, rounding=ROUND_HALF_EVEN)


def _is_flow(cash_flow: Decimal, minimum: Decimal | None) -> bool:
    return minimum is not None and abs(cash_flow) >= minimum


def _cash_rule(account: AccountBook, policy: Policy, flow: Decimal) -> CashRule:
    ceilings = [] if policy.cash_ceiling is None else [policy.cash_ceiling]
    if policy.cash_drift is not None:
        ceilings.append(policy.cash_weight + policy.cash_drift)
    ceiling = min(ceilings, default=ONE)
    return CashRule(
        floor_weight=policy.cash_floor,
        ceiling_weight=min(ONE, max(ceiling, policy.cash_floor)),
        withdrawal=account.reserved_cash,
        flow=flow,
    )


def _recent_trades(
    account: AccountBook,
    identities: Mapping[InstrumentId, str],
    quotes: Mapping[InstrumentId, Quote],
    as_of_date: date,
) -> Iterator[RecentTrade]:
    """Yield the trades that wash-sale windows must see.

    A trade of an instrument that the account neither holds nor wants any more counts for one that is identical to it; a
    lot that is not traded here counts as the purchase that it was.
    """
    since = as_of_date - RECENT_TRADES
    of_set = {identities[each]: each for each in sorted(quotes, reverse=True)}
    for trade in account.recent_trades:
        if not since <= trade.trade_date <= as_of_date:
            continue
        known = identities.get(trade.instrument_id)
        if trade.instrument_id not in quotes and known in of_set:
            yield replace(trade, instrument_id=of_set[known])
        else:
            yield trade
    for position in account.positions:
        if position.holding is HoldingKind.TRADED:
            continue
        for lot in position.lots:
            if since <= lot.acquired_date <= as_of_date:
                yield RecentTrade(position.instrument_id, Side.BUY, lot.acquired_date)
