"""Why is this lot sold and that one not? Each lot of an account with its gain, its tax, and the rule that decides.

Of what is sold the tax is the lot's part of what the plan's sales owe together (`netting`). Of what is kept it is what
selling that too, on top of the plan, would add: so a loss that would meet a gain shows what it would save, and one that
only a later year would use shows no more than that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from services.decision.domain.asset_kinds import exempt_of
from services.decision.domain.decision import Character, Decision, LotSale
from services.decision.domain.entering import kept_because, ordered_holdings, ordered_lots
from services.decision.domain.netting import gains_of
from services.decision.domain.problem import ZERO, AccountProblem, Holding, LotId, LotMethod, LotState, RiskModel
from services.decision.domain.tax import LotTax, TaxView, jurisdiction
from services.decision.domain.tax.assessment.rows import Recipient
from services.decision.domain.tax.assessment.settling import SETTLING
from services.decision.domain.waiting import Ahead, Waiting, ahead_of
from services.decision.domain.words import cents, money, percent, quantity
from services.kernel.ids import InstrumentId

KINDS = {
    Character.SHORT: "short-term ",
    Character.LONG: "long-term ",
    Character.ANY: "",
    Character.POOLED: "",
    Character.EXEMPT: "untaxed ",
    Character.SHARE: "share ",
}


@dataclass(frozen=True, slots=True)
class LotReason:
    """One lot, or what is sold or kept of it; money in the account's currency.

    Attributes:
        sold: Whether the plan sells these units.
        gain: At the plan's price, or what it would be; negative for a loss.
        rate: Tax over gain, 0 to 1; 0 without a gain or loss.
        tax: Of the sale in this plan, or what it would add to the plan's; negative saves tax.
        avoided: Tax that the plan's choice does without, 0 or more: of a lot sold against the dearest that could be
            sold instead, of a lot kept what selling it would cost.
        long_from: First day on which its sale is long-term; None where it is, or the law does not ask.
        barred: Why it may not be sold; empty when it may.
        source: Law and paragraph of the rule that decides how it is taxed, or that bars it.
        waiting: Of a loss that is realized, or could be: how that compares with waiting; None of anything else.
        gift_source: Of a gain that is kept and would be taxed: the law by which it is not when the lot is given to a
            charity. Empty of anything else, and of a short-term lot, of which the law deducts the cost alone.
    """

    instrument_id: InstrumentId
    lot_id: LotId
    acquired_date: date
    quantity: Decimal
    sold: bool
    gain: Decimal
    character: Character
    rate: Decimal
    tax: Decimal
    avoided: Decimal
    long_from: date | None
    barred: str
    source: str
    sentence: str
    waiting: Waiting | None = None
    gift_source: str = ""


def lot_reasons(problem: AccountProblem, decision: Decision, risk: RiskModel) -> tuple[LotReason, ...]:
    """Return the reasons of all lots of an account, by instrument, those sold first, then by lot.

    Args:
        problem: What was decided on.
        decision: What was decided.
        risk: What its risk was judged by.
    """
    view = jurisdiction(problem.tax.jurisdiction).view(problem)
    sales = {sale.lot_id: sale for trade in decision.trades for sale in trade.lot_sales}
    case = _Case(problem, view, sales, ahead_of(problem, decision, risk))
    found = [
        reason
        for holding in ordered_holdings(problem)
        for lot in ordered_lots(holding)
        for reason in case.of(holding, lot)
    ]
    return tuple(sorted(found, key=lambda each: (each.instrument_id, not each.sold, each.lot_id)))


@dataclass(frozen=True, slots=True)
class _Case:
    problem: AccountProblem
    view: TaxView
    sales: dict[LotId, LotSale]
    ahead: Ahead | None

    def of(self, holding: Holding, lot: LotState) -> Iterator[LotReason]:
        """Yield what is sold of a lot, then what is kept of it."""
        sale = self.sales.get(lot.lot_id)
        left = lot.quantity
        if sale is not None:
            left -= sale.quantity
            yield self._sold(holding, lot, sale)
        if left > 0:
            yield self._kept(holding, lot, left)

    def _sold(self, holding: Holding, lot: LotState, sale: LotSale) -> LotReason:
        dearest = max((self._instead(holding, other, sale) for other in holding.lots), default=ZERO)
        made = self._reason(holding, lot, sale.quantity, sale.gain, sale.tax, sold=True)
        waiting = None if self.ahead is None or sale.gain >= 0 else self.ahead.sold(holding, sale)
        return self._told(replace(made, rate=sale.rate, avoided=max(cents(dearest), ZERO), waiting=waiting))

    def _instead(self, holding: Holding, other: LotState, sale: LotSale) -> Decimal:
        """Return how much more the plan would owe if it sold the same units of another lot instead."""
        used = self.sales[other.lot_id].quantity if other.lot_id in self.sales else ZERO
        if other.quantity - used < sale.quantity or kept_because(self.problem, holding, other, self.view):
            return ZERO
        taxed = self.view.lots[other.lot_id]
        gain = _gain(holding, other, sale.quantity)
        others = [each for each in self.sales.values() if each.lot_id != sale.lot_id]
        instead = replace(sale, gain=gain, character=taxed.character, exempt_gain=exempt_of(gain, taxed.exempt))
        return self._owed([*others, instead]) - self._owed(list(self.sales.values()))

    def _kept(self, holding: Holding, lot: LotState, left: Decimal) -> LotReason:
        taxed = self.view.lots[lot.lot_id]
        gain = _gain(holding, lot, left)
        value = cents(holding.price * left)
        exempt = exempt_of(gain, taxed.exempt)
        more = LotSale(
            lot.lot_id, lot.acquired_date, left, value, value - gain, gain, taxed.character, ZERO, ZERO, exempt
        )
        planned = list(self.sales.values())
        tax = cents(self._owed([*planned, more]) - self._owed(planned))
        made = self._reason(holding, lot, left, gain, tax, sold=False)
        waiting = None
        if self.ahead is not None and gain < 0 and not made.barred:
            waiting = self.ahead.kept(holding, more)
        return self._told(replace(made, avoided=max(tax, ZERO), waiting=waiting, gift_source=self._gift_source(made)))

    def _gift_source(self, kept: LotReason) -> str:
        law = SETTLING.get(self.problem.tax.jurisdiction)
        if law is None or min(kept.gain, kept.tax) <= 0 or kept.character in (Character.SHORT, Character.EXEMPT):
            return ""
        return law.gifts[Recipient.CHARITY].source

    def _owed(self, sales: list[LotSale]) -> Decimal:
        taxed = [each for each in sales if each.character is not Character.EXEMPT]
        if self.view.liability is None:
            return sum((each.counted_gain * self.view.lots[each.lot_id].rate for each in taxed), ZERO)
        return self.view.liability.of(*gains_of(taxed))

    def _reason(
        self, holding: Holding, lot: LotState, units: Decimal, gain: Decimal, tax: Decimal, *, sold: bool
    ) -> LotReason:
        taxed: LotTax = self.view.lots[lot.lot_id]
        barred = kept_because(self.problem, holding, lot, self.view) or ""
        return LotReason(
            instrument_id=holding.instrument_id,
            lot_id=lot.lot_id,
            acquired_date=lot.acquired_date,
            quantity=units,
            sold=sold,
            gain=gain,
            character=taxed.character,
            rate=(tax / gain).quantize(Decimal("1e-9")) + ZERO if gain else ZERO,
            tax=tax,
            avoided=ZERO,
            long_from=taxed.long_from,
            barred="" if sold else barred,
            source=taxed.source,
            sentence="",
        )

    def _told(self, reason: LotReason) -> LotReason:
        currency = self.problem.currency
        what = f"{quantity(reason.quantity)} of lot {reason.lot_id} of {reason.instrument_id}"
        word = "gain" if reason.gain >= 0 else "loss"
        result = f"a {KINDS[reason.character]}{word} of {money(abs(reason.gain), currency)}"
        if exempt := self.view.lots[reason.lot_id].exempt:
            result += f", of which {percent(exempt)} are exempt"
        cited = f" ({reason.source})" if reason.source else ""
        if reason.sold:
            parts = [f"{what} are sold with {result}{cited}, {_bears(reason, currency)}"]
            if reason.avoided:
                parts.append(
                    f"the dearest lot that could be sold instead would cost {money(reason.avoided, currency)} more"
                )
            if self.problem.tax.lot_method is not LotMethod.LOWEST_TAX:
                parts.append(f"lots are taken by {self.problem.tax.lot_method.value.lower().replace('_', ' ')}")
            return replace(reason, sentence=f"{'; '.join(parts)}.{_waits(reason)}")
        if reason.barred:
            return replace(reason, sentence=f"{what} are kept: {reason.barred}{cited}. Selling would make {result}.")
        said = f"{what} are kept: selling them too would make {result}{cited} and {_adds(reason, currency)}"
        if reason.long_from is not None and reason.gain > 0:
            said += f"; the gain is long-term from {reason.long_from} on"
        if reason.gift_source:
            said += f"; given to a charity, they would bear none of it ({reason.gift_source})"
        return replace(reason, sentence=f"{said}.{_waits(reason)}")


def _gain(holding: Holding, lot: LotState, units: Decimal) -> Decimal:
    return cents((holding.price - lot.basis_total / lot.quantity) * units)


def _waits(reason: LotReason) -> str:
    return "" if reason.waiting is None else f" {reason.waiting.sentence}"


def _bears(reason: LotReason, currency: str) -> str:
    if reason.tax > 0:
        return f"which bears {money(reason.tax, currency)} of the plan's tax, {percent(reason.rate)} of it"
    if reason.tax < 0:
        return f"which saves {money(-reason.tax, currency)} of tax, {percent(reason.rate)} of it"
    return "which changes no tax"


def _adds(reason: LotReason, currency: str) -> str:
    if reason.tax > 0:
        return f"cost {money(reason.tax, currency)} of tax"
    if reason.tax < 0:
        return f"save {money(-reason.tax, currency)} of tax"
    return "change no tax"
