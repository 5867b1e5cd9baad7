"""What goes on the year's forms, from an assessment alone.

Sources:
    United States: IRS Form 8949 and its instructions: a row for each lot sold, Part I short-term and Part II long-term,
    columns (a) to (h); code W and the disallowed loss of a wash sale in (f) and (g); its totals go to Schedule D.
    What leaves at its cost (a gift) is on none of them.
    United Kingdom: form SA108, "Listed shares and securities".
    Canada: Schedule 3 of the T1, "Publicly traded shares, mutual fund units".
    Germany: Anlage KAP.

Amounts are to the cent; whoever fills in a form rounds as it allows.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import Treatment, total
from services.decision.domain.tax.assessment.results import AssessedDisposal, Assessment, MatchRule, Piece, Term
from services.kernel.decimals import plain

WASH_CODE = "W"


@dataclass(frozen=True, slots=True)
class FormRow:
    """One row of a form.

    Attributes:
        form: Which form.
        part: Part, box or line of the form.
        description: What it is of.
        acquired_date: None for several days, or where the form does not ask.
        sold_date: None for a total.
        code: Adjustment code; empty without one.
        adjustment: What is added to the gain by the code.
    """

    form: str
    part: str
    description: str
    gain: Decimal
    acquired_date: date | None = None
    sold_date: date | None = None
    proceeds: Decimal = ZERO
    cost: Decimal = ZERO
    code: str = ""
    adjustment: Decimal = ZERO


def form_rows(assessment: Assessment) -> tuple[FormRow, ...]:
    """Return the rows of the assessed year's forms, in the order of the form.

    Raises:
        KeyError: No forms are known of the country.
    """
    return _FORMS[assessment.jurisdiction](assessment)


def _united_states(assessment: Assessment) -> tuple[FormRow, ...]:
    rows: dict[Term, list[FormRow]] = defaultdict(list)
    for disposal in assessment.of_year():
        for piece in disposal.pieces:
            if piece.treatment is Treatment.AT_COST:
                continue
            what = f"{plain(piece.quantity)} {disposal.asset}" if piece.quantity else _without_units(disposal, piece)
            washed = piece.disallowed_loss != 0
            rows[piece.term].append(
                FormRow(
                    form="8949",
                    # Boxes A and D: the broker reported the basis.
                    part="I (A)" if piece.term is Term.SHORT else "II (D)",
                    description=what,
                    gain=piece.counted_gain,
                    acquired_date=piece.acquired_date,
                    sold_date=disposal.day,
                    proceeds=piece.proceeds,
                    cost=piece.cost,
                    code=WASH_CODE if washed else "",
                    adjustment=piece.disallowed_loss,
                )
            )
    totals = [
        _summed("Schedule D", line, name, rows[term])
        for term, line, name in ((Term.SHORT, "1b", "short-term"), (Term.LONG, "8b", "long-term"))
        if rows[term]
    ]
    return (*rows[Term.SHORT], *rows[Term.LONG], *totals)


def _without_units(disposal: AssessedDisposal, piece: Piece) -> str:
    what = "money in a merger" if piece.rule is MatchRule.EXCHANGED else "capital returned"
    return f"{disposal.asset} {what}"


def _reported(assessment: Assessment) -> list[AssessedDisposal]:
    """Return the year's disposals but those that are none to the tax."""
    return [
        each for each in assessment.of_year() if any(piece.treatment is not Treatment.AT_COST for piece in each.pieces)
    ]


def _summed(form: str, part: str, description: str, rows: Sequence[FormRow]) -> FormRow:
    return FormRow(
        form=form,
        part=part,
        description=description,
        gain=total(row.gain for row in rows),
        proceeds=total(row.proceeds for row in rows),
        cost=total(row.cost for row in rows),
        adjustment=total(row.adjustment for row in rows),
    )


def _united_kingdom(assessment: Assessment) -> tuple[FormRow, ...]:
    of_year = _reported(assessment)
    pieces = [piece for each in of_year for piece in each.pieces]
    boxes = (
        ("23", "number of disposals", Decimal(len(of_year))),
        ("24", "disposal proceeds", total(piece.proceeds for piece in pieces)),
        ("25", "allowable costs", total(piece.cost for piece in pieces)),
        ("26", "gains in the year, before losses", assessment.amount("gains")),
        ("27", "losses in the year", assessment.amount("losses_of_the_year")),
        ("45", "losses brought forward and used in the year", assessment.amount("losses_brought_forward_used")),
        ("47", "losses available to be carried forward", assessment.amount("losses_carried_forward")),
    )
    return tuple(FormRow("SA108", box, name, amount) for box, name, amount in boxes)


def _canada(assessment: Assessment) -> tuple[FormRow, ...]:
    rows = [_of_disposal("Schedule 3", "3", each.asset, each.day, each.pieces) for each in _reported(assessment)]
    gain = total(row.gain for row in rows)
    return (
        *rows,
        FormRow("Schedule 3", "13199", "total proceeds", total(row.proceeds for row in rows)),
        FormRow("Schedule 3", "13200", "gain or loss", gain),
        FormRow("T1", "12700", "taxable capital gains", assessment.amount("net_taxable_gain")),
        FormRow("T1", "25300", "net capital losses of other years", assessment.amount("net_losses_used")),
    )


def _of_disposal(form: str, part: str, asset: str, day: date, pieces: Sequence[Piece]) -> FormRow:
    quantity = plain(total(piece.quantity for piece in pieces))
    return FormRow(
        form=form,
        part=part,
        description=f"{quantity} {asset}",
        gain=total(piece.counted_gain for piece in pieces),
        sold_date=day,
        proceeds=total(piece.proceeds for piece in pieces),
        cost=total(piece.cost for piece in pieces),
        adjustment=total(piece.disallowed_loss for piece in pieces),
    )


def _germany(assessment: Assessment) -> tuple[FormRow, ...]:
    shares, others = assessment.amount("gains_on_shares"), assessment.amount("gains_on_others")
    income = total((max(shares, ZERO), max(others, ZERO), assessment.amount("advance_lump_sums")))
    lines = (
        ("7", "capital income", income),
        ("8", "of it gains on shares", max(shares, ZERO)),
        ("12", "losses without those on shares", max(others.copy_negate(), ZERO)),
        ("13", "losses on shares", max(shares.copy_negate(), ZERO)),
        ("16", "saver's allowance used", assessment.amount("allowance_used")),
    )
    return tuple(FormRow("Anlage KAP", line, name, amount) for line, name, amount in lines)


_FORMS = {"US": _united_states, "GB": _united_kingdom, "CA": _canada, "DE": _germany}
