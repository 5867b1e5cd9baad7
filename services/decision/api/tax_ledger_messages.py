"""Taxpayers, their ledgers and their years as messages."""

from collections.abc import Mapping, Sequence
from datetime import date

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.api.assessment_messages import assessment_message
from services.decision.api.tax_messages import CURRENCIES, OWNERS, Exchange
from services.decision.api.taxpayer_messages import rules_of
from services.decision.app.tax_ports import Ledger, Taxpayer, TaxYear
from services.decision.domain.tax.assessment.history import (
    Owner,
)
from services.decision.domain.tax.currencies import DayRates
from services.kernel.errors import Fact, Invalid, Violations
from services.kernel.ids import AccountId
from services.runtime.wire import (
    date_message,
    date_of,
    decimal_message,
)


def complete_of(request: pb.RecordTaxEventsRequest) -> Mapping[AccountId, date]:
    """Return up to which day accounts' histories are complete.

    Raises:
        Invalid: A day is none, or an account is named twice.
    """
    until: dict[AccountId, date] = {}
    found = Violations()
    for index, each in enumerate(request.complete):
        account_id = AccountId(each.account_id)
        if account_id in until:
            found.add(f"complete[{index}].account_id", f"must be unique, was {account_id!r} again")
        until[account_id] = date_of(each.until_date, f"complete[{index}].until_date")
    found.raise_if_any()
    return until


def owners_of(
    request: pb.GetTaxLedgerRequest | pb.CompareTaxActionsRequest | pb.TaxpayerAccounts,
) -> Mapping[AccountId, Owner]:
    """Return the accounts of a ledger, and whose they are.

    Raises:
        Invalid: An account is named twice.
    """
    owners: dict[AccountId, Owner] = {}
    found = Violations()
    for index, each in enumerate(request.accounts):
        if AccountId(each.account_id) in owners:
            found.add(f"accounts[{index}].account_id", f"must be unique, was {each.account_id!r} again")
        owners[AccountId(each.account_id)] = OWNERS[each.owner]
    found.raise_if_any()
    return owners


def rates_of(request: pb.GetTaxLedgerRequest | pb.CompareTaxActionsRequest | pb.TaxpayerAccounts) -> DayRates:
    """Return the rates of days into the currency of the taxpayer's country.

    Raises:
        Invalid: A rate is not above 0, or a day has two for one currency.
    """
    return Exchange.of(request.exchange_rates, CURRENCIES[request.WhichOneof("taxpayer") or ""]).rates


def taxpayers_of(request: pb.StreamTaxYearsRequest) -> Sequence[Taxpayer | tuple[str, Fact]]:
    """Return the taxpayers of a request, or why one cannot be read; each by its id.

    Raises:
        Invalid: A taxpayer is named twice.
    """
    found, seen = Violations(), set()
    read: list[Taxpayer | tuple[str, Fact]] = []
    for index, each in enumerate(request.taxpayers):
        if each.taxpayer_id in seen:
            found.add(f"taxpayers[{index}].taxpayer_id", f"must be unique, was {each.taxpayer_id!r} again")
        seen.add(each.taxpayer_id)
        try:
            read.append(Taxpayer(each.taxpayer_id, owners_of(each), rules_of(each), rates_of(each)))
        except Invalid as invalid:
            read.append((each.taxpayer_id, invalid))
    found.raise_if_any()
    return read


def year_message(taxpayer_id: str, outcome: TaxYear | Fact) -> pb.StreamTaxYearsResponse:
    """Return the message of a taxpayer's year, or of why there is none."""
    if isinstance(outcome, Fact):
        refused = pb.StreamTaxYearsResponse.Refused(reason=outcome.reason, description=outcome.message)
        return pb.StreamTaxYearsResponse(taxpayer_id=taxpayer_id, refused=refused)
    assessment = outcome.ledger.assessment
    return pb.StreamTaxYearsResponse(
        taxpayer_id=taxpayer_id,
        year=pb.StreamTaxYearsResponse.Year(
            jurisdiction=assessment.jurisdiction,
            currency_code=assessment.currency,
            lines=[
                pb.TaxLine(name=line.name, amount=decimal_message(line.amount), source=line.source)
                for line in assessment.lines
            ],
            review=assessment.review,
            open_loss=decimal_message(outcome.open_loss),
            denied_loss=decimal_message(outcome.denied_loss),
            differences=len(outcome.ledger.differences),
            law_version=outcome.ledger.law_version,
        ),
    )


def ledger_message(ledger: Ledger) -> pb.GetTaxLedgerResponse:
    """Return the message of a ledger."""
    return pb.GetTaxLedgerResponse(
        year=assessment_message(ledger.rules, ledger.assessment, ledger.law_version),
        brought_forward=[
            pb.TaxLine(name=line.name, amount=decimal_message(line.amount), source=line.source)
            for line in ledger.brought_forward
        ],
        differences=[
            pb.TaxLedgerDifference(
                account_id=each.account_id,
                instrument_id=each.asset,
                ledger_quantity=decimal_message(each.ledger),
                book_quantity=decimal_message(each.book),
            )
            for each in ledger.differences
        ],
        pending=[
            pb.PendingTaxPurchase(
                account_id=each.purchase.account_id,
                instrument_id=each.purchase.instrument_id,
                quantity=decimal_message(each.purchase.quantity),
                disallowed_loss=decimal_message(each.disallowed_loss),
            )
            for each in ledger.pending
        ],
        identical=[
            pb.DatedIdenticalAssets(from_date=date_message(day), sets=_sets(names))
            for day, names in ledger.history.identical_from
        ],
    )


def _sets(names: Mapping[str, str]) -> list[pb.IdenticalAssets]:
    assets: dict[str, list[str]] = {}
    for asset in sorted(names):
        assets.setdefault(names[asset], []).append(asset)
    return [pb.IdenticalAssets(assets=assets[name]) for name in sorted(assets)]
