"""Gifts, deaths, and moves into and out of wrappers, as purchases and sales of the kind that each law takes them for.

What a country's rules walk are purchases and sales with a treatment. Before, everything without a price becomes one of
both by the country's table: at what it cost, at what it is worth, with or without what was lost by it.

Sources:
    United States: 26 U.S.C. § 1015(a) (a gift has the giver's basis, for a loss at most what it was worth: between both
    there is neither gain nor loss; Treas. Reg. § 1.1015-1(a)), § 1223(2) (the giver's time counts, unless the worth is
    the basis), § 1041 (spouses: the giver's basis in any case), § 170(e) (charity), § 1014(a), § 1223(9) (from somebody
    who died: what it was worth, and always long-term), § 408(d)(1) (out of an IRA: what it is worth), § 408(a)(1) (into
    one goes nothing but money).
    United Kingdom: TCGA 1992 s. 17 (a gift is a disposal at market value), s. 18(3) (a loss on it to a connected person
    counts against gains on that person only), s. 58 (spouses: neither gain nor loss), s. 257 (charities), s. 62 (death
    is no disposal; heirs take at market value). ISA Regulations 1998 reg. 34 (out of an ISA: at market value).
    Canada: ITA s. 69(1) (a gift is a disposition at fair value), s. 73(1) (spouses: at cost), s. 38(a.1) (listed
    securities given to a charity: the gain is not taxed), s. 70(5), (6) (death is a disposition at fair value, to a
    spouse at cost: send it as a gift to the spouse), s. 54 "superficial loss" (c) (no loss on death is superficial),
    s. 40(2)(g)(iv) (into a registered plan: at fair value, and a loss does not count).
    Germany: EStG § 20 Abs. 4 Satz 6: whoever gets units without price stands in the giver's place; nothing is realized.

Our readings: whoever is given something in the United Kingdom is taken to be connected, so a loss does not count, and
its piece says so; where the giver's cost is unknown, it is 0 and listed for review; where the giver's date is unknown,
the time is the receiver's own. What was given, inherited or moved replaces nothing that is sold at a loss: it is no
purchase (26 U.S.C. § 1091(a)); in the United Kingdom it is an acquisition like any other (TCGA 1992 s. 105, s. 106A).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    Disposal,
    Gift,
    Giver,
    History,
    Owner,
    Receipt,
    Recipient,
    Transfer,
    Treatment,
)
from services.kernel.errors import FieldViolation, Invalid


class EventNotCovered(Invalid):
    """The law of the country does not know such an event, or we do not know its law."""

    reason = "TAX_EVENT_NOT_COVERED"


@dataclass(frozen=True, slots=True)
class Given:
    """How what is given counts for the giver."""

    treatment: Treatment
    source: str


@dataclass(frozen=True, slots=True)
class Received:
    """What received units cost.

    Attributes:
        at_value: What they were worth, instead of what they had cost the giver.
        least_for_losses: For a loss, the lower of both counts.
        always_long: They count as held long enough from the beginning.
    """

    at_value: bool
    least_for_losses: bool = False
    always_long: bool = False


@dataclass(frozen=True, slots=True)
class SettlingLaw:
    """The table of one country.

    Attributes:
        spouses_share_lots: Lots go to a spouse and come from one with cost and time, as between own accounts.
        sheltering: How a move into a wrapper counts; None where none is possible.
        sheltering_source: Where that stands.
    """

    code: str
    gifts: Mapping[Recipient, Given]
    receipts: Mapping[Giver, Received]
    spouses_share_lots: bool
    wrappers: bool
    sheltering: Treatment | None
    sheltering_source: str


UNITED_STATES = SettlingLaw(
    code="US",
    gifts={
        Recipient.PERSON: Given(Treatment.AT_COST, "26 U.S.C. § 1015(a)"),
        Recipient.SPOUSE: Given(Treatment.AT_COST, "26 U.S.C. § 1041(a)"),
        Recipient.CHARITY: Given(Treatment.AT_COST, "26 U.S.C. § 170(e)"),
        Recipient.HEIRS: Given(Treatment.AT_COST, "26 U.S.C. § 1014(a)"),
    },
    receipts={
        Giver.PERSON: Received(at_value=False, least_for_losses=True),
        Giver.SPOUSE: Received(at_value=False),
        Giver.ESTATE: Received(at_value=True, always_long=True),
    },
    spouses_share_lots=True,
    wrappers=True,
    sheltering=None,
    sheltering_source="26 U.S.C. § 408(a)(1): nothing but money goes into an IRA",
)

_AT_VALUE_UNLESS_FROM_SPOUSE = {each: Received(at_value=each is not Giver.SPOUSE) for each in Giver}

UNITED_KINGDOM = SettlingLaw(
    code="GB",
    gifts={
        Recipient.PERSON: Given(Treatment.LOSS_BARRED, "TCGA 1992 s. 17, s. 18(3)"),
        Recipient.SPOUSE: Given(Treatment.AT_COST, "TCGA 1992 s. 58"),
        Recipient.CHARITY: Given(Treatment.AT_COST, "TCGA 1992 s. 257"),
        Recipient.HEIRS: Given(Treatment.AT_COST, "TCGA 1992 s. 62(1)(b)"),
    },
    receipts=_AT_VALUE_UNLESS_FROM_SPOUSE,
    spouses_share_lots=False,
    wrappers=True,
    sheltering=None,
    sheltering_source="an ISA is subscribed to in money: sell, and buy inside",
)

CANADA = SettlingLaw(
    code="CA",
    gifts={
        Recipient.PERSON: Given(Treatment.SALE, "ITA s. 69(1)(b)"),
        Recipient.SPOUSE: Given(Treatment.AT_COST, "ITA s. 73(1)"),
        Recipient.CHARITY: Given(Treatment.GAIN_EXEMPT, "ITA s. 38(a.1)"),
        Recipient.HEIRS: Given(Treatment.DEEMED, "ITA s. 70(5)"),
    },
    receipts=_AT_VALUE_UNLESS_FROM_SPOUSE,
    spouses_share_lots=False,
    wrappers=True,
    sheltering=Treatment.LOSS_BARRED,
    sheltering_source="ITA s. 40(2)(g)(iv)",
)

GERMANY = SettlingLaw(
    code="DE",
    gifts={each: Given(Treatment.AT_COST, "EStG § 20 Abs. 4 Satz 6") for each in Recipient},
    receipts={each: Received(at_value=False) for each in Giver},
    spouses_share_lots=False,
    wrappers=False,
    sheltering=None,
    sheltering_source="Germany's tax knows no wrapper",
)

SETTLING: Mapping[str, SettlingLaw] = {law.code: law for law in (UNITED_STATES, UNITED_KINGDOM, CANADA, GERMANY)}


def settled(history: History, law: SettlingLaw) -> History:
    """Return the history with nothing but purchases, sales and moves between accounts that count as one.

    Raises:
        EventNotCovered: A transfer is none of those that the law knows.
    """
    transfers = [(index, row) for index, row in enumerate(history.transfers) if _crosses(history, row, law)]
    if not (history.gifts or history.receipts or transfers):
        return history
    moved = [_moved(history, row, f"transfers[{index}]", law) for index, row in transfers]
    crossing = {row.transfer_id for _, row in transfers}
    return replace(
        history,
        acquisitions=(
            *history.acquisitions,
            *(_received(row, law) for row in history.receipts),
            *(came for _, came in moved),
        ),
        disposals=(*history.disposals, *(_given(row, law) for row in history.gifts), *(went for went, _ in moved)),
        transfers=tuple(row for row in history.transfers if row.transfer_id not in crossing),
        gifts=(),
        receipts=(),
    )


def _given(row: Gift, law: SettlingLaw) -> Disposal:
    given = law.gifts[row.recipient]
    said = row.day, row.account_id, row.asset, row.quantity, row.value, row.lot_ids
    return Disposal(row.gift_id, *said, treatment=given.treatment, source=given.source)


def _received(row: Receipt, law: SettlingLaw) -> Acquisition:
    received = law.receipts[row.giver]
    known = received.at_value or row.giver_cost is not None
    cost = row.value if received.at_value else row.giver_cost or ZERO
    held_from = None if received.at_value else row.giver_date
    lower = received.least_for_losses and known and row.value < cost
    return Acquisition(
        row.lot_id,
        row.day,
        row.account_id,
        row.asset,
        row.quantity,
        cost,
        cost_known=known,
        purchased=False,
        held_from=_held_long(row.day) if received.always_long else held_from,
        loss_cost=row.value if lower else None,
    )


def _held_long(day: date) -> date:
    """Return the latest day of purchase for which a sale on `day` is long-term: 26 U.S.C. § 1223(9)."""
    year = day.year - 1
    return (date(year, 2, 28) if (day.month, day.day) == (2, 29) else day.replace(year=year)) - timedelta(days=1)


def _crosses(history: History, row: Transfer, law: SettlingLaw) -> bool:
    """Return whether the accounts of a transfer are not as one to the law."""
    giver, receiver = history.account[row.account_id], history.account[row.to_account_id]
    same_owner = giver.owner is receiver.owner or (law.spouses_share_lots and not giver.sheltered)
    return not same_owner or giver.sheltered != receiver.sheltered


def _moved(history: History, row: Transfer, path: str, law: SettlingLaw) -> tuple[Disposal, Acquisition]:
    giver, receiver = history.account[row.account_id], history.account[row.to_account_id]
    if giver.sheltered != receiver.sheltered:
        if giver.owner is not receiver.owner:
            raise _not_covered(path, row, "goes into or out of a wrapper of somebody else: record both sides")
        if not law.wrappers or (receiver.sheltered and law.sheltering is None):
            raise _not_covered(path, row, f"cannot be: {law.sheltering_source}")
        value = row.value if row.value is not None else ZERO
        if receiver.sheltered and law.sheltering is not None:
            return _both(row, value, law.sheltering, law.sheltering_source)
        return _both(row, value, Treatment.SALE, "")
    if giver.sheltered:
        raise _not_covered(path, row, "goes from one person's wrapper to another's")
    if giver.owner is Owner.AFFILIATED:
        raise _not_covered(path, row, "comes from a spouse: record it as received, with what the units had cost there")
    spouse = law.gifts[Recipient.SPOUSE]
    return _both(row, ZERO, spouse.treatment, spouse.source)


def _both(row: Transfer, value: Decimal, treatment: Treatment, source: str) -> tuple[Disposal, Acquisition]:
    name = f"transfer:{row.transfer_id}"
    went = Disposal(
        name, row.day, row.account_id, row.asset, row.quantity, value, row.lot_ids, treatment=treatment, source=source
    )
    came = Acquisition(name, row.day, row.to_account_id, row.asset, row.quantity, value, purchased=False)
    return went, came


def _not_covered(path: str, row: Transfer, why: str) -> EventNotCovered:
    said = f"transfer {row.transfer_id} of {row.asset} on {row.day} {why}"
    return EventNotCovered(said, violations=[FieldViolation(path, why)])
