"""What is traded in one currency by accounts that keep their money in another.

A price is turned by a rate, and a rate is the reference price of a pair: `EUR/USD` is what a euro costs in dollars. So
rates come, age, and are checked like all reference prices, and a pair is an instrument that venues trade.

Markets quote one pair of two currencies and not its inverse: an account in euros that trades in dollars is served by
`EUR/USD` too, turned over. What is bought or sold is an amount of the traded currency either way, to the cent: it is
the dealt currency. What is paid is an amount of the account's, of which a dealt unit costs one over the quoted rate.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from services.execution.domain.blocks import Terms
from services.execution.domain.words import ReferencePrice, Side
from services.kernel.decimals import plain
from services.kernel.ids import InstrumentId
from services.kernel.money import CENT

ONE = Decimal(1)
# Rates are quoted to a tenth of a pip.
RATE_QUANTUM = Decimal("0.00001")
# By a rate turned over, a unit costs a quotient: with fifteen decimals a sum of 1e12 is off by less than 0.001.
TURNED_QUANTUM = Decimal("1e-15")
_PAIR = re.compile("([A-Z]{3})/([A-Z]{3})")


def pair(traded: str, account: str) -> InstrumentId:
    """Return the instrument whose price is what one unit of `traded` costs in `account`."""
    return InstrumentId(f"{traded}/{account}")


def dealt_currency(instrument_id: InstrumentId, currency: str) -> str | None:
    """Return the currency of which a pair's order is an amount, when it is paid in `currency`; None for anything else.

    Of `EUR/USD` euros are dealt for dollars, and dollars for euros.
    """
    found = _PAIR.fullmatch(instrument_id) if "/" in instrument_id else None
    if found is None:
        return None
    base, quote = found.groups()
    return {quote: base, base: quote}.get(currency)


def turned_over(instrument_id: InstrumentId, currency: str) -> bool:
    """Return whether an order in a pair that is paid in `currency` costs one over what the pair is quoted at."""
    return "/" in instrument_id and instrument_id.startswith(f"{currency}/")


def turn_over(price: Decimal) -> Decimal:
    """Return one over a price above 0, half to even at fifteen decimals."""
    return Decimal(plain((ONE / price).quantize(TURNED_QUANTUM, rounding=ROUND_HALF_EVEN)))


def pairs_between(traded: str, account: str) -> tuple[InstrumentId, InstrumentId]:
    """Return the pairs that may say what one unit of `traded` costs in `account`: itself, and its inverse."""
    return pair(traded, account), pair(account, traded)


def pairs_of(
    wanted: Iterable[tuple[InstrumentId, str]], prices: Mapping[InstrumentId, ReferencePrice]
) -> set[InstrumentId]:
    """Return the pairs that may turn the prices of instruments into the currencies in which they are wanted."""
    return {
        each
        for name, currency in wanted
        if name in prices and prices[name].currency != currency
        for each in pairs_between(prices[name].currency, currency)
    }


def rate_between(traded: str, account: str, prices: Mapping[InstrumentId, ReferencePrice]) -> ReferencePrice | None:
    """Return what one unit of `traded` costs in `account`, under the name of the pair that is quoted; None if unknown.

    The pair with the traded currency first counts where it is known; else its inverse, turned over.
    """
    straight, inverse = pairs_between(traded, account)
    known = prices.get(straight)
    if known is not None and known.currency == account:
        return known
    known = prices.get(inverse)
    if known is not None and known.currency == traded:
        return replace(known, price=turn_over(known.price), currency=account)
    return None


def price_in(
    prices: Mapping[InstrumentId, ReferencePrice], instrument_id: InstrumentId, currency: str
) -> ReferencePrice | None:
    """Return an instrument's reference price in `currency`, as old as the older of price and rate.

    None where price or rate is not known.
    """
    price = prices.get(instrument_id)
    if price is None or price.currency == currency:
        return price
    rate = rate_between(price.currency, currency, prices)
    if rate is None:
        return None
    return replace(
        price,
        price=price.price * rate.price,
        currency=currency,
        as_of_time=min(price.as_of_time, rate.as_of_time),
        source=f"{price.source}, {rate.source}",
    )


def pair_for(
    instrument_id: InstrumentId, currency: str, prices: Mapping[InstrumentId, ReferencePrice]
) -> InstrumentId | None:
    """Return the pair that an account in `currency` needs to trade an instrument; None where it needs none.

    None also where no rate is known.
    """
    price = prices.get(instrument_id)
    if price is None or price.currency == currency:
        return None
    rate = rate_between(price.currency, currency, prices)
    return None if rate is None else rate.instrument_id


def rate_of(terms: Terms, prices: Mapping[InstrumentId, ReferencePrice]) -> Decimal | None:
    """Return what a unit of the currency that `terms` trade in costs in the accounts' own; None where that is the same.

    Raises:
        KeyError: The rate is not known.
    """
    if terms.account_currency is None:
        return None
    rate = rate_between(terms.currency, terms.account_currency, prices)
    if rate is None:
        raise KeyError(pair(terms.currency, terms.account_currency))
    return rate.price


def worst_rate(side: Side, rate: ReferencePrice, collar: Decimal) -> Decimal:
    """Return the worst that a unit of the traded currency may cost, or bring, within `collar` (0 to below 1) of a rate.

    What the pair is quoted at then is whole in `RATE_QUANTUM`, rounded towards the reference.
    """
    buys = side is Side.BUY
    worst = rate.price * (ONE + collar if buys else ONE - collar)
    if not turned_over(rate.instrument_id, rate.currency):
        return worst.quantize(RATE_QUANTUM, rounding=ROUND_FLOOR if buys else ROUND_CEILING)
    return turn_over((ONE / worst).quantize(RATE_QUANTUM, rounding=ROUND_CEILING if buys else ROUND_FLOOR))


def traded_terms(terms: Terms, prices: Mapping[InstrumentId, ReferencePrice]) -> Terms | None:
    """Return the terms of an account's order as it is traded: in the currency of the instrument's reference price.

    A limit is turned by the present rate, in whole cents in the account's favor. None where the rate is not known.
    """
    price = prices.get(terms.instrument_id)
    if price is None or price.currency == terms.currency:
        return terms
    rate = rate_between(price.currency, terms.currency, prices)
    if rate is None:
        return None
    limit = terms.limit_price
    if limit is not None:
        rounding = ROUND_FLOOR if terms.side is Side.BUY else ROUND_CEILING
        limit = (limit / rate.price).quantize(CENT, rounding=rounding)
        if limit <= 0:
            return None
    return replace(terms, currency=price.currency, account_currency=terms.currency, limit_price=limit)
