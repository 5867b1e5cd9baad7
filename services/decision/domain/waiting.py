"""Realize a loss now, or wait? Both are followed to the end of the policy's horizon, and compared after tax.

*Now* the lot is sold and something that does alike is held instead, at today's price; *waiting* the lot is kept. In
both the rest of the account is as the plan leaves it, and at the end all of it is sold. Each year settles by the law's
own arithmetic (`Jurisdiction.year`): losses meet gains, what no gain meets is carried on, and taxes paid or saved grow
as the account does. So a loss is worth what it saves by the rates of the policy, less the tax on the lower cost that is
held instead, and not a rate times a loss.

    advantage = (taxes of waiting − taxes of now) − cost of trading · (1 + growth)^years

Prices are as today, or rise or fall each year by σ/√years, so by about one standard deviation over the horizon. What
selling now gives up besides, the right to sell at today's price later, is shown beside it (`option_value`): the law
does not let the same be bought back for some days.

Our readings: the horizon is counted in whole years, and so that all is held for the long term at its end. Prices of all
that is held change alike, and nothing but what the plan does happens in between. `tax.projection` is the same over the
exact assessment, brackets included; a test holds one to the other.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from services.decision.domain.costs import daily_volatility, impact_rate, trade_cost
from services.decision.domain.decision import Character, Decision, LotSale
from services.decision.domain.netting import gains_of
from services.decision.domain.problem import ONE, ZERO, AccountProblem, Holding, RiskModel, Side
from services.decision.domain.tax import Jurisdiction, jurisdiction
from services.decision.domain.tax.assessment.history import cents
from services.decision.domain.tax.option_value import at_the_money_put
from services.decision.domain.words import money, percent
from services.kernel.ids import InstrumentId

# Volatilities and growth are told to a basis point.
RATE_UNIT = Decimal("0.0001")
# A longer horizon is cut off here: no figure of a plan is good for longer.
YEARS_MAX = 50


@dataclass(frozen=True, slots=True)
class Outlook:
    """How it ends when prices grow so.

    Attributes:
        growth: Of prices each year, −1 or more.
        taxes_now: All taxes until the end with their growth, when the loss is realized now; negative when they save.
        taxes_waiting: The same when the lot is kept and sold at the end.
        advantage: What selling now leaves more after tax and cost than waiting; negative for less.
    """

    growth: Decimal
    taxes_now: Decimal
    taxes_waiting: Decimal
    advantage: Decimal


@dataclass(frozen=True, slots=True)
class Waiting:
    """A loss realized now beside the same loss kept, in the account's currency.

    Attributes:
        years: Until everything is sold, 1 or more.
        cost: Of selling and of buying something else instead.
        right: At most what the right to realize the loss later is worth that selling now gives up.
        outlooks: Prices as they are, risen and fallen.
        source: Law and paragraph of the rule that forbids to buy the same back, or says that nothing does.
    """

    years: int
    cost: Decimal
    right: Decimal
    outlooks: tuple[Outlook, ...]
    source: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Held:
    """What is held, in currency: of shares where the law keeps losses on them apart, and of all else.

    `value_exempt` and `basis_exempt` are what of all else gains that do not count are on.
    """

    value_apart: Decimal
    basis_apart: Decimal
    value_other: Decimal
    basis_other: Decimal
    value_exempt: Decimal = ZERO
    basis_exempt: Decimal = ZERO

    @property
    def value(self) -> Decimal:
        """All that it is worth."""
        return self.value_apart + self.value_other

    def more(self, other: "Held") -> "Held":
        """Return both together."""
        return Held(
            self.value_apart + other.value_apart,
            self.basis_apart + other.basis_apart,
            self.value_other + other.value_other,
            self.basis_other + other.basis_other,
            self.value_exempt + other.value_exempt,
            self.basis_exempt + other.basis_exempt,
        )

    def less(self, other: "Held") -> "Held":
        """Return it without the other."""
        return self.more(
            Held(
                -other.value_apart,
                -other.basis_apart,
                -other.value_other,
                -other.basis_other,
                -other.value_exempt,
                -other.basis_exempt,
            )
        )

    def part(self, value: Decimal) -> "Held":
        """Return a part of purchases, which are worth what they cost, of both kinds as they are in the whole."""
        apart = value * self.value_apart / self.value if self.value_apart else ZERO
        exempt = value * self.value_exempt / self.value if self.value_exempt else ZERO
        return Held(apart, apart, value - apart, value - apart, exempt, exempt)

    def gains(self, grown: Fraction) -> tuple[Decimal, Decimal]:
        """Return the gain of each kind that counts, in whole cents, when all is sold for `grown` times its worth."""
        apart = Fraction(self.value_apart) * grown - Fraction(self.basis_apart)
        other = Fraction(self.value_other - self.value_exempt) * grown
        return cents(apart), cents(other - Fraction(self.basis_other - self.basis_exempt))


def held_of(value: Decimal, basis: Decimal, *, apart: bool, exempt: Decimal = ZERO) -> Held:
    """Return what is all of one kind, of whose gains a part is exempt where they are not apart."""
    if apart:
        return Held(value, basis, ZERO, ZERO)
    return Held(ZERO, ZERO, value, basis, value * exempt, basis * exempt)


@dataclass(frozen=True, slots=True)
class Ahead:
    """An account after its plan, as far as waiting asks.

    Attributes:
        sales: Of the plan.
        held: What is held after it.
        bought: The plan's purchases, part of it.
        variances: Of a year, of each instrument's returns.
    """

    problem: AccountProblem
    rules: Jurisdiction
    sales: tuple[LotSale, ...]
    held: "Held"
    bought: "Held"
    variances: dict[InstrumentId, float]

    @property
    def years(self) -> int:
        """The policy's horizon in whole years, at least one."""
        horizon = self.problem.objective.horizon_years.to_integral_value(ROUND_CEILING)
        return int(min(horizon, Decimal(YEARS_MAX)))

    def sold(self, holding: Holding, sale: LotSale) -> Waiting:
        """Return what realizing the loss of a sale of the plan is worth beside waiting with it.

        Args:
            holding: Out of which it is.
            sale: At a loss.
        """
        others = tuple(each for each in self.sales if each.lot_id != sale.lot_id)
        # What the plan buys, it buys with this money first.
        spent = self.bought.part(min(sale.proceeds, self.bought.value))
        return replace(self, sales=others, held=self.held.less(spent)).beside(holding, sale)

    def kept(self, holding: Holding, loss: LotSale) -> Waiting:
        """Return what realizing a loss too, on top of the plan, would be worth beside waiting with it.

        Args:
            holding: Out of which it would be.
            loss: The sale that the plan does not make.
        """
        lot = self._held(holding, loss.proceeds, loss.proceeds - loss.gain)
        return replace(self, held=self.held.less(lot)).beside(holding, loss)

    def beside(self, holding: Holding, loss: LotSale) -> Waiting:
        """Return the same of a loss that is neither among the sales nor in what is held.

        Args:
            holding: Out of which it is or would be.
            loss: The sale that realizes it.
        """
        variance = self.variances[holding.instrument_id]
        impact = impact_rate(holding, self.problem.objective.impact_coefficient, daily_volatility(variance))
        cost = 2 * trade_cost(holding, loss.proceeds, impact).total
        volatility = Decimal(variance).sqrt().quantize(RATE_UNIT, ROUND_HALF_EVEN)
        step = (volatility / Decimal(self.years).sqrt()).quantize(RATE_UNIT, ROUND_HALF_EVEN)
        outlooks = tuple(self._outlook(growth, holding, loss, cost) for growth in (ZERO, step, max(-step, -ONE)))
        saved = self._owed((*self.sales, loss)) - self._owed(self.sales)
        right = at_the_money_put(loss.proceeds, volatility, self.rules.locked_days)
        found = Waiting(
            years=self.years,
            cost=cost,
            right=cents(Fraction(right) * Fraction(saved) / Fraction(loss.gain)) if saved < 0 else ZERO,
            outlooks=outlooks,
            source=self.rules.locked_source,
            sentence="",
        )
        return replace(found, sentence=_sentence(found, self.rules.locked_days, self.problem.currency))

    def _owed(self, sales: tuple[LotSale, ...]) -> Decimal:
        return self.rules.year(self.problem.tax, *gains_of(sales)).liability

    def _held(self, holding: Holding, value: Decimal, basis: Decimal) -> "Held":
        exempt = self.rules.exempt_part(holding)
        return held_of(value, basis, apart=self.rules.pots and holding.share, exempt=exempt)

    def _outlook(self, growth: Decimal, holding: Holding, loss: LotSale, cost: Decimal) -> Outlook:
        grown = Fraction(1 + growth) ** self.years
        instead = self.held.more(self._held(holding, loss.proceeds, loss.proceeds))
        itself = self.held.more(self._held(holding, loss.proceeds, loss.proceeds - loss.gain))
        now = self._taxes((*self.sales, loss), growth, instead.gains(grown))
        waiting = self._taxes(self.sales, growth, itself.gains(grown))
        ahead = waiting - now - Fraction(cost) * grown
        return Outlook(growth, cents(now), cents(waiting), cents(ahead))

    def _taxes(self, sales: tuple[LotSale, ...], growth: Decimal, at_the_end: tuple[Decimal, Decimal]) -> Fraction:
        """Return all taxes of the plan's year, the years after it, and the sale of everything at the end.

        Args:
            sales: Of the plan's year.
            growth: Of each year.
            at_the_end: Gain of what is sold then: on shares where they are apart, and all other.
        """
        profile, (short, long), taxes = self.problem.tax, gains_of(sales), Fraction(0)
        profile = replace(
            profile, realized_short=profile.realized_short + short, realized_long=profile.realized_long + long
        )
        for left in range(self.years, 0, -1):
            taxes += Fraction(self.rules.year(profile, ZERO, ZERO).tax) * Fraction(1 + growth) ** left
            short, long = self.rules.carried_on(profile)
            # Gains that are harvested without tax in this year cost their rate in a later one.
            later = profile.long_rate if profile.later_long_rate is None else profile.later_long_rate
            profile = replace(
                profile,
                long_rate=later,
                realized_short=ZERO,
                realized_long=ZERO,
                carried_short=short,
                carried_long=long,
            )
        return taxes + Fraction(self.rules.year(profile, *at_the_end).tax)


def ahead_of(problem: AccountProblem, decision: Decision, risk: RiskModel) -> Ahead | None:
    """Return an account after its plan; None where nothing is taxed.

    Args:
        problem: What was decided on.
        decision: What was decided.
        risk: What its risk was judged by.
    """
    if not problem.tax.taxable:
        return None
    rules = jurisdiction(problem.tax.jurisdiction)
    trades = {trade.instrument_id: trade for trade in decision.trades}
    held = bought = held_of(ZERO, ZERO, apart=False)
    for holding in problem.holdings:
        apart, trade = rules.pots and holding.share, trades.get(holding.instrument_id)
        basis, exempt = sum((lot.basis_total for lot in holding.lots), ZERO), rules.exempt_part(holding)
        held = held.more(held_of(holding.value, basis, apart=apart, exempt=exempt))
        if trade is not None and trade.side is Side.BUY:
            bought = bought.more(held_of(trade.value, trade.value, apart=apart, exempt=exempt))
        for sale in () if trade is None else trade.lot_sales:
            held = held.less(held_of(sale.proceeds, sale.basis, apart=apart, exempt=exempt))
    sales = (sale for trade in decision.trades for sale in trade.lot_sales)
    variances = risk.specific_variance + (risk.exposures**2).sum(axis=1)
    return Ahead(
        problem=problem,
        rules=rules,
        sales=tuple(each for each in sales if each.character is not Character.EXEMPT),
        held=held.more(bought),
        bought=bought,
        variances=dict(zip(risk.instrument_ids, map(float, variances), strict=True)),
    )


def _sentence(told: Waiting, locked_days: int, currency: str) -> str:
    flat, up, down = told.outlooks
    years = "a year" if told.years == 1 else f"{told.years} years"
    said = (
        f"Realized now and replaced, the loss leaves {_more(flat.advantage, currency)} after tax and "
        f"{money(told.cost, currency)} of trading than kept and sold in {years} at today's prices"
        f", {_more(up.advantage, currency)} if they rise by {percent(up.growth)} a year, "
        f"{_more(down.advantage, currency)} if they fall by {percent(-down.growth)}"
    )
    if not locked_days:
        return f"{said}; the same may be bought back at once ({told.source})."
    return (
        f"{said}; the right to realize it within {locked_days} days, in which the same may not be bought back "
        f"({told.source}), is worth at most {money(told.right, currency)}."
    )


def _more(amount: Decimal, currency: str) -> str:
    return f"{money(abs(amount), currency)} {'more' if amount >= 0 else 'less'}"
