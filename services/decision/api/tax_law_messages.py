"""Versions of tax law as messages."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.domain.tax.laws import LAWS, LawBook, LawHorizon, LawState, LawVersion
from services.kernel.errors import Violations
from services.runtime.wire import date_message, decimal_message, decimal_of, instant_message

_STATES: Mapping[LawState, pb.TaxLaw.State.ValueType] = {
    LawState.PROPOSED: pb.TaxLaw.STATE_PROPOSED,
    LawState.APPROVED: pb.TaxLaw.STATE_APPROVED,
    LawState.REJECTED: pb.TaxLaw.STATE_REJECTED,
}


def law_message(version: LawVersion, book: LawBook) -> pb.TaxLaw:
    """Return the message of a version, with whether it is in force by `book`; amounts as people read them."""
    order = {each.name: place for place, each in enumerate(LAWS[version.jurisdiction].table.names)}
    message = pb.TaxLaw(
        jurisdiction=version.jurisdiction,
        tax_year=version.tax_year,
        version=version.version,
        state=_STATES[version.state],
        in_force=version.state is LawState.APPROVED
        and book.version(version.jurisdiction, version.tax_year) == version.version,
        amounts=[
            pb.TaxLawAmount(name=name, value=decimal_message(version.amounts[name]))
            for name in sorted(version.amounts, key=lambda each: (order[each.partition("@")[0]], each))
        ],
        source=version.source,
        author=version.author,
        reviewer=version.reviewer,
        review_note=version.review_note,
    )
    if version.propose_time is not None:
        message.propose_time.CopyFrom(instant_message(version.propose_time))
    if version.review_time is not None:
        message.review_time.CopyFrom(instant_message(version.review_time))
    return message


def horizon_message(horizon: LawHorizon, today: date) -> pb.TaxLawHorizon:
    """Return the message of until when a country's accounts are planned."""
    return pb.TaxLawHorizon(
        jurisdiction=horizon.jurisdiction,
        last_date=date_message(horizon.last_date),
        days_left=horizon.days_left(today),
        tax_year=horizon.tax_year,
    )


def amounts_of(request: pb.ProposeTaxLawRequest) -> Mapping[str, Decimal]:
    """Return the amounts that a request names.

    Raises:
        Invalid: One is named twice, or is no number.
    """
    amounts: dict[str, Decimal] = {}
    found = Violations()
    for index, each in enumerate(request.amounts):
        if each.name in amounts:
            found.add(f"amounts[{index}].name", f"must be unique, was {each.name!r} again")
        amounts[each.name] = decimal_of(each.value, f"amounts[{index}].value")
    found.raise_if_any()
    return amounts
