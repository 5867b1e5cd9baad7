"""Assessments as messages."""

from collections.abc import Mapping
from datetime import date

from google.type import date_pb2

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.domain.tax.assessment.forms import FormRow, form_rows
from services.decision.domain.tax.assessment.history import (
    Treatment,
)
from services.decision.domain.tax.assessment.marginal import marginals
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    AssessedDividend,
    Assessment,
    MatchRule,
    Piece,
    Remaining,
    TaxRules,
    Term,
)
from services.runtime.wire import date_message, decimal_message

_RULES: Mapping[MatchRule, pb.TaxPiece.Rule.ValueType] = {
    MatchRule.SAME_DAY: pb.TaxPiece.RULE_SAME_DAY,
    MatchRule.THIRTY_DAYS: pb.TaxPiece.RULE_THIRTY_DAYS,
    MatchRule.POOL: pb.TaxPiece.RULE_POOL,
    MatchRule.IDENTIFIED: pb.TaxPiece.RULE_IDENTIFIED,
    MatchRule.FIRST_IN_FIRST_OUT: pb.TaxPiece.RULE_FIRST_IN_FIRST_OUT,
    MatchRule.LAST_IN_FIRST_OUT: pb.TaxPiece.RULE_LAST_IN_FIRST_OUT,
    MatchRule.HIGHEST_COST: pb.TaxPiece.RULE_HIGHEST_COST,
    MatchRule.LOWEST_TAX: pb.TaxPiece.RULE_LOWEST_TAX,
    MatchRule.AVERAGE_COST: pb.TaxPiece.RULE_AVERAGE_COST,
    MatchRule.CAPITAL_RETURNED: pb.TaxPiece.RULE_CAPITAL_RETURNED,
    MatchRule.EXCHANGED: pb.TaxPiece.RULE_EXCHANGED,
}
TERMS: Mapping[Term, pb.TaxPiece.Term.ValueType] = {
    Term.ANY: pb.TaxPiece.TERM_ANY,
    Term.SHORT: pb.TaxPiece.TERM_SHORT,
    Term.LONG: pb.TaxPiece.TERM_LONG,
}


def assessment_message(rules: TaxRules, assessment: Assessment, law_version: int) -> pb.PreviewTaxYearResponse:
    """Return the message of an assessment by `rules`, which are those of a version of the year's law."""
    return pb.PreviewTaxYearResponse(
        jurisdiction=assessment.jurisdiction,
        currency_code=assessment.currency,
        first_date=date_message(assessment.first_date),
        last_date=date_message(assessment.last_date),
        disposals=[_disposal_message(each) for each in assessment.of_year()],
        remaining=[_remaining_message(each) for each in assessment.remaining],
        lines=[
            pb.TaxLine(name=line.name, amount=decimal_message(line.amount), source=line.source)
            for line in assessment.lines
        ],
        permanently_lost=decimal_message(assessment.permanently_lost),
        review=assessment.review,
        form_rows=[_form_row_message(row) for row in form_rows(assessment)],
        marginals=[
            pb.TaxMarginal(
                term=TERMS[each.term],
                gain_rate=decimal_message(each.gain_rate),
                loss_rate=decimal_message(each.loss_rate),
            )
            for each in marginals(rules, assessment)
        ],
        dividends=[
            _dividend_message(each)
            for each in assessment.dividends
            if assessment.first_date <= each.dividend.day <= assessment.last_date
        ],
        law_version=law_version,
    )


def _form_row_message(row: FormRow) -> pb.TaxFormRow:
    return pb.TaxFormRow(
        form=row.form,
        part=row.part,
        description=row.description,
        acquired_date=_day(row.acquired_date),
        sold_date=_day(row.sold_date),
        proceeds=decimal_message(row.proceeds),
        cost=decimal_message(row.cost),
        code=row.code,
        adjustment=decimal_message(row.adjustment),
        gain=decimal_message(row.gain),
    )


def _dividend_message(each: AssessedDividend) -> pb.AssessedDividend:
    return pb.AssessedDividend(
        dividend_id=each.dividend.dividend_id,
        date=date_message(each.dividend.day),
        asset=each.dividend.asset,
        amount=decimal_message(each.dividend.amount),
        qualified=decimal_message(each.qualified),
        held_days=each.held_days,
    )


def _disposal_message(each: AssessedDisposal) -> pb.AssessedDisposal:
    return pb.AssessedDisposal(
        disposal_ids=each.disposal_ids,
        date=date_message(each.day),
        asset=each.asset,
        quantity=decimal_message(each.quantity),
        proceeds=decimal_message(each.proceeds),
        counted_gain=decimal_message(each.counted_gain),
        pieces=[_piece_message(piece) for piece in each.pieces],
    )


def _piece_message(piece: Piece) -> pb.TaxPiece:
    return pb.TaxPiece(
        rule=_RULES[piece.rule],
        source=piece.source,
        quantity=decimal_message(piece.quantity),
        proceeds=decimal_message(piece.proceeds),
        cost=decimal_message(piece.cost),
        gain=decimal_message(piece.gain),
        disallowed_loss=decimal_message(piece.disallowed_loss),
        exempt_gain=decimal_message(piece.exempt_gain),
        counted_gain=decimal_message(piece.counted_gain),
        term=TERMS[piece.term],
        acquired_date=_day(piece.acquired_date),
        held_from_date=_day(piece.held_from_date),
        lot_id=piece.lot_id or "",
        note=piece.note,
        at_cost=piece.treatment is Treatment.AT_COST,
    )


def _remaining_message(each: Remaining) -> pb.TaxRemaining:
    return pb.TaxRemaining(
        account_id=each.account_id or "",
        asset=each.asset,
        lot_id=each.lot_id or "",
        quantity=decimal_message(each.quantity),
        cost=decimal_message(each.cost),
        acquired_date=_day(each.acquired_date),
        held_from_date=_day(each.held_from_date),
    )


def _day(value: date | None) -> date_pb2.Date | None:
    return None if value is None else date_message(value)
