"""The year-end of one taxpayer: what is owed, which losses are open on a day, what must not be bought until when.

A loss is *free* when nothing bought until the day would deny it. The United States deny it share by share, to the lots
bought within 30 days that have replaced nothing yet (26 U.S.C. § 1091(a)); Canada, to a purchase of the 30 days before
while something is left (ITA s. 54); the United Kingdom looks only ahead, Germany not at all. A purchase denies a loss,
or changes what it is, for 30 days after the sale (§ 1091(a), s. 54, TCGA 1992 s. 106A(5)).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import History, cents, total
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    Assessment,
    Line,
    Remaining,
    TaxRules,
    Term,
    gain_on,
)
from services.decision.domain.tax.situation import Situation
from services.decision.domain.tax.united_states import long_term_from
from services.decision.domain.tax.windows import WINDOW

# Countries whose law denies or changes a loss by a purchase after it.
_LOOKS_AHEAD = frozenset({"US", "GB", "CA"})
# From a day to the first on which nothing of it is within 30 days.
_PAST = WINDOW + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class OpenLoss:
    """A loss that a sale today would realize.

    Attributes:
        lot_id: None where the law lets nobody choose lots: then it is the position's.
        quantity: Units that would lose, above 0.
        loss: Above 0.
        free_date: First day on which nothing bought until today would deny it; None when it is free today.
    """

    account_id: str
    asset: str
    lot_id: str | None
    quantity: Decimal
    loss: Decimal
    free_date: date | None


@dataclass(frozen=True, slots=True)
class Window:
    """What a purchase before `open_date` would deny a loss of the past by, or change what that loss is."""

    asset: str
    open_date: date


@dataclass(frozen=True, slots=True)
class YearEnd:
    """What a taxpayer's year-end comes to.

    Attributes:
        lines: As `Assessment.lines`; the last is the tax.
        permanently_lost: Losses that never count, over the whole history; 0 or more.
        savings: Tax of the year that a sale today of every free loss would save; 0 when today is not of the year.
        losses: By account, asset and lot.
        windows: By asset.
        review: What a person should look at, in sentences.
        compiled: Whether it went by columns.
    """

    lines: tuple[Line, ...]
    permanently_lost: Decimal
    savings: Decimal
    losses: tuple[OpenLoss, ...]
    windows: tuple[Window, ...]
    review: tuple[str, ...]
    compiled: bool = False


def exact_year_end(
    rules: TaxRules, history: History, tax_year: int, today: date, prices: Mapping[str, Decimal]
) -> YearEnd:
    """Return a taxpayer's year-end by the exact assessment.

    Raises:
        SoldMoreThanHeld: The history sells what it never bought.
        TaxYearUnknown: There are no rules for the year.
    """
    carried, year = rules.carried_and_assessed(history, tax_year)
    situation = Situation(history, carried, tax_year, today, prices).knowing(year)
    losses, free = _by_lot(situation) if rules.code == "US" else _by_position(situation)
    of_year = year.first_date <= today <= year.last_date
    saved = total((situation.tax, situation.rules.tax_with(year, free).copy_negate())) if of_year else ZERO
    return YearEnd(
        year.lines, year.permanently_lost, saved, losses, _windows(rules.code, history, year, today), year.review
    )


def _by_lot(situation: Situation) -> tuple[tuple[OpenLoss, ...], tuple[AssessedDisposal, ...]]:
    """Return the open losses of a taxpayer who may name lots, and sales that make those that are free."""
    history, today = situation.history, situation.today
    held = [each for each in situation.assessment.remaining if _since(each) <= today]
    recent: dict[str, list[Remaining]] = {}
    for each in held:
        if each.may_replace and today - WINDOW <= _since(each):
            recent.setdefault(history.identity(each.asset), []).append(each)
    found: dict[tuple[str, str, str], OpenLoss] = {}
    free: list[AssessedDisposal] = []
    for each in held:
        price, account_id = situation.prices.get(each.asset), each.account_id or ""
        if price is None or not situation.own(account_id):
            continue
        loss = total((each.cost, cents(Fraction(each.quantity) * Fraction(price)).copy_negate()))
        if loss <= 0:
            continue
        near = [
            _since(other)
            for other in recent.get(history.identity(each.asset), ())
            if other.lot_id != each.lot_id and history.same(other.asset, each.asset, today)
        ]
        one = OpenLoss(account_id, each.asset, each.lot_id, each.quantity, loss, max(near) + _PAST if near else None)
        key = account_id, each.asset, each.lot_id or ""
        # What replaced something is a part of its lot.
        found[key] = one if key not in found else _joined(found[key], one)
        if not near:
            term = Term.LONG if long_term_from(each.held_from_date or _since(each)) <= today else Term.SHORT
            free.append(gain_on(today, loss.copy_negate(), term, each.asset))
    return tuple(found[key] for key in sorted(found)), tuple(free)


def _since(each: Remaining) -> date:
    return each.acquired_date or date.min


def _joined(one: OpenLoss, other: OpenLoss) -> OpenLoss:
    return replace(one, quantity=one.quantity + other.quantity, loss=total((one.loss, other.loss)))


def _by_position(situation: Situation) -> tuple[tuple[OpenLoss, ...], tuple[AssessedDisposal, ...]]:
    """Return the open losses of whole positions, and sales that make those that are free."""
    losses: list[OpenLoss] = []
    free: list[AssessedDisposal] = []
    for each in situation.parcels:
        if each.gain >= 0:
            continue
        day = situation.free_date(each) if situation.replaced(each) else None
        losses.append(OpenLoss(each.account_id, each.asset, each.lot_id, each.quantity, each.gain.copy_negate(), day))
        if day is None:
            free.append(gain_on(situation.today, each.gain, asset=each.asset))
    return tuple(losses), tuple(free)


def _windows(code: str, history: History, year: Assessment, today: date) -> tuple[Window, ...]:
    """Return what must not be bought today lest it touch a loss of the past."""
    if code not in _LOOKS_AHEAD:
        return ()
    latest: dict[str, date] = {}
    for each in year.disposals:
        if any(piece.gain < 0 for piece in each.pieces):
            latest[history.identity(each.asset)] = each.day
    return tuple(
        Window(asset, latest[history.identity(asset)] + _PAST)
        for asset in history.assets
        if history.identity(asset) in latest and today <= latest[history.identity(asset)] + WINDOW
    )
