"""What is traded in one currency by accounts that keep their money in another.

A price is turned by a rate, and a rate is the reference price of a pair: `EUR/USD` is what a euro costs in dollars,
with the traded currency first. So rates come, age, and are checked like all reference prices, and a pair is an
instrument that venues trade.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from services.execution.domain.blocks import Terms
from services.execution.domain.words import ReferencePrice, Side
from services.kernel.ids import InstrumentId
from services.kernel.money import CENT

ONE = Decimal(1)


def pair(traded: str, account: str) -> InstrumentId:
    """Return the instrument whose price is what one unit of `traded` costs in `account`."""
    return InstrumentId(f"{traded}/{account}")


def pairs_of(
    wanted: Iterable[tuple[InstrumentId, str]], prices: Mapping[InstrumentId, ReferencePrice]
) -> set[InstrumentId]:
    """Return the pairs that turn the prices of instruments into the currencies in which they are wanted."""
    return {
        pair(prices[name].currency, currency)
        for name, currency in wanted
        if name in prices and prices[name].currency != currency
    }


def price_in(
    prices: Mapping[InstrumentId, ReferencePrice], instrument_id: InstrumentId, currency: str
) -> ReferencePrice | None:
    """Return an instrument's reference price in `currency`, as old as the older of price and rate.

    None where price or rate is not known.
    """
    price = prices.get(instrument_id)
    if price is None or price.currency == currency:
        return price
    rate = prices.get(pair(price.currency, currency))
    if rate is None or rate.currency != currency:
        return None
    return replace(
        price,
        price=price.price * rate.price,
        currency=currency,
        as_of_time=min(price.as_of_time, rate.as_of_time),
        source=f"{price.source}, {rate.source}",
    )


def rate_of(terms: Terms, prices: Mapping[InstrumentId, ReferencePrice]) -> Decimal | None:
    """Return what a unit of the currency that `terms` trade in costs in the accounts' own; None where that is the same.

    Raises:
        KeyError: The rate is not known.
    """
    if terms.account_currency is None:
        return None
    return prices[pair(terms.currency, terms.account_currency)].price


def traded_terms(terms: Terms, prices: Mapping[InstrumentId, ReferencePrice]) -> Terms | None:
    """Return the terms of an account's order as it is traded: in the currency of the instrument's reference price.

    A limit is turned by the present rate, in whole cents in the account's favor. None where the rate is not known.
    """
    price = prices.get(terms.instrument_id)
    if price is None or price.currency == terms.currency:
        return terms
    rate = prices.get(pair(price.currency, terms.currency))
    if rate is None:
        return None
    limit = terms.limit_price
    if limit is not None:
        rounding = ROUND_FLOOR if terms.side is Side.BUY else ROUND_CEILING
        limit = (limit / rate.price).quantize(CENT, rounding=rounding)
        if limit <= 0:
            return None
    return replace(terms, currency=price.currency, account_currency=terms.currency, limit_price=limit)
