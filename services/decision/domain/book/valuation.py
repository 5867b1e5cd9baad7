"""What is an account worth, and how far is it from its targets?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from services.decision.domain.book.account import AccountBook
from services.decision.domain.prices import PriceSet
from services.decision.domain.problem import ONE, ZERO
from services.kernel.decimals import EXACT
from services.kernel.ids import InstrumentId
from services.kernel.money import CENT

# Weights are shown to a millionth of a percent, rounded half to even.
WEIGHT_STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Valuation:
    """An account at the prices of one set.

    Attributes:
        value: Of positions and cash, to the cent, half to even; None when a price is missing.
        prices: Of the instruments held, those that are known.
        weights: Of each position, in the account's order, as fractions of the value; empty when a price is missing or
            the value is not above 0.
        drift: Half the sum of absolute deviations from the targets, cash included; None without targets or weights.
    """

    value: Decimal | None
    prices: Mapping[InstrumentId, Decimal]
    weights: Sequence[Decimal]
    drift: Decimal | None


def valued(
    account: AccountBook, price_set: PriceSet | None, targets: Mapping[InstrumentId, Decimal] | None
) -> Valuation:
    """Return the account at the prices of `price_set`.

    Args:
        account: What it has.
        price_set: None when there are no prices yet.
        targets: Target weights by instrument; what they leave of 1 is cash. None when there are none.
    """
    units = account.units
    known = {each: price_set.price(each) for each in units} if price_set is not None else {}
    prices = {each: price for each, price in known.items() if price is not None}
    if len(prices) < len(units):
        return Valuation(None, prices, (), None)
    with localcontext(EXACT) as context:
        context.clear_traps()
        values = {each: quantity * prices[each] for each, quantity in units.items()}
        value = sum(values.values(), account.cash)
        cents = value.quantize(CENT, rounding=ROUND_HALF_EVEN)
        if value <= 0:
            return Valuation(cents, prices, (), None)
        weights = {each: held / value for each, held in values.items()}
        shown = tuple(_shown(each.quantity * prices[each.instrument_id] / value) for each in account.positions)
        if targets is None:
            return Valuation(cents, prices, shown, None)
        cash = abs(account.cash / value - (ONE - sum(targets.values(), ZERO)))
        off = sum((abs(weights.get(each, ZERO) - targets.get(each, ZERO)) for each in {*weights, *targets}), cash)
        return Valuation(cents, prices, shown, _shown(off / 2))


def _shown(weight: Decimal) -> Decimal:
    return weight.quantize(WEIGHT_STEP, rounding=ROUND_HALF_EVEN)
