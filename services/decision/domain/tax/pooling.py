"""Lots whose units all cost the average: what a pool looks like to code that counts lots.

TCGA 1992 s. 104 (United Kingdom) and ITA s. 47(1) (Canada) know no lots. The units keep their days, which windows count
from, and share the cost: whichever lot a sale takes, it costs the same to the cent of each lot.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from services.decision.domain.problem import ZERO, LotState
from services.kernel.decimals import EXACT
from services.kernel.money import CENT


def pooled(lots: Sequence[LotState]) -> tuple[LotState, ...]:
    """Return the same lots, each unit at the average cost; together they cost what they did, to the cent."""
    cost, units = sum((lot.basis_total for lot in lots), ZERO), sum((lot.quantity for lot in lots), ZERO)
    shared: list[LotState] = []
    for lot in lots:
        share = _part(cost, lot.quantity, units)
        shared.append(replace(lot, basis_total=share))
        cost, units = cost - share, units - lot.quantity
    return tuple(shared)


def _part(cost: Decimal, units: Decimal, of: Decimal) -> Decimal:
    if units == of:
        return cost
    with localcontext(EXACT) as context:
        context.clear_traps()
        return (cost * units / of).quantize(CENT, rounding=ROUND_HALF_EVEN)
