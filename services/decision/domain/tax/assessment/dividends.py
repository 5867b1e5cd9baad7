"""Which dividends of the United States are qualified, so that they are taxed like long-term gains.

Sources:
    26 U.S.C. § 1(h)(11)(B)(iii) with § 246(c): more than 60 days of the 121 that begin 60 days before the ex-dividend
    date; § 246(c)(3)(A): the day of disposal counts, that of acquisition does not. IRS Publication 550, Qualified
    Dividends.

Our readings: units sold on the ex-dividend date or later got the dividend, those bought on it did not. What is still
held at the end of the history is taken to be held on. Whether the corporation is a qualified one, and whether the risk
was hedged (§ 246(c)(4)), the rows cannot say: send dividends of such corporations as income.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.tax.assessment.history import Dividend, History, cents
from services.decision.domain.tax.assessment.results import AssessedDisposal, AssessedDividend, Remaining

# 60 days before the ex-dividend date to 60 days after it, so 121 with the day itself.
EACH_SIDE = timedelta(days=60)
HELD_DAYS_MIN = 61


def assessed_dividends(
    history: History, disposals: Sequence[AssessedDisposal], remaining: Sequence[Remaining]
) -> tuple[AssessedDividend, ...]:
    """Return each dividend of the taxpayer's taxed accounts, by ex-dividend date and id."""
    accounts = {row.disposal_id: row.account_id for row in history.disposals}
    found: list[AssessedDividend] = []
    for row in sorted(history.dividends, key=lambda each: (each.day, each.dividend_id)):
        units = qualified = Fraction(0)
        fewest: int | None = None
        for bought, gone, piece in _holdings(history, row, disposals, remaining, accounts):
            if not bought < row.day or (gone is not None and gone < row.day):
                continue
            first, last = row.day - EACH_SIDE, row.day + EACH_SIDE
            days = (min(gone or last, last) - max(bought, first - timedelta(days=1))).days
            fewest = days if fewest is None else min(fewest, days)
            units += piece
            qualified += piece if days >= HELD_DAYS_MIN else 0
        share = cents(Fraction(row.amount) * qualified / units) if units else Decimal(0)
        found.append(AssessedDividend(row, share, fewest or 0))
    return tuple(found)


def _holdings(
    history: History,
    row: Dividend,
    disposals: Sequence[AssessedDisposal],
    remaining: Sequence[Remaining],
    accounts: dict[str, str],
) -> Iterator[tuple[date, date | None, Fraction]]:
    """Yield day of purchase, day of sale and units, after the last split, of what the account ever had of the asset."""
    for sold in disposals:
        if sold.asset == row.asset and sold.disposal_ids and accounts[sold.disposal_ids[0]] == row.account_id:
            for piece in sold.pieces:
                if piece.acquired_date is not None:
                    units = Fraction(piece.quantity) * history.scale(row.asset, sold.day)
                    yield piece.acquired_date, sold.day, units
    for left in remaining:
        if left.asset == row.asset and left.account_id == row.account_id and left.acquired_date is not None:
            yield left.acquired_date, None, Fraction(left.quantity)
