"""`evenkeel.decision.v1.TaxService`: message → values → use case → message."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import grpc.aio

from evenkeel.decision.v1 import tax_service_pb2 as pb
from evenkeel.decision.v1.tax_service_pb2_grpc import TaxServiceServicer
from services.decision.api.assessment_messages import assessment_message
from services.decision.api.callers import subject
from services.decision.api.tax_action_messages import comparison_message, wish_of
from services.decision.api.tax_event_messages import accounts_named, events_of, recorded_message
from services.decision.api.tax_law_messages import amounts_of, horizon_message, law_message
from services.decision.api.tax_ledger_messages import (
    complete_of,
    ledger_message,
    owners_of,
    rates_of,
    taxpayers_of,
    year_message,
)
from services.decision.api.tax_messages import history_of, identical_of
from services.decision.api.taxpayer_messages import rules_of
from services.decision.app.tax_laws import TaxLawApp
from services.decision.app.tax_ports import EventFilter, Taxpayer
from services.decision.app.taxes import TaxApp
from services.decision.domain.prices import PriceSetId
from services.decision.domain.tax.laws import LawVersion
from services.kernel.ids import AccountId, InstrumentId
from services.runtime.paging import cut, read_page
from services.runtime.wire import instant_of

PAGE_DEFAULT = 100
PAGE_MAX = 1_000

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class TaxServicer(TaxServiceServicer):
    """Answers what a history of trades comes to, and keeps the histories of accounts and the amounts of law."""

    app: TaxApp
    laws: TaxLawApp

    async def PreviewTaxYear(self, request: pb.PreviewTaxYearRequest, context: _Context) -> pb.PreviewTaxYearResponse:
        rules, history = rules_of(request), history_of(request)
        found = await self.app.preview_year(rules, history, request.tax_year, law_time_of(request))
        return assessment_message(found.rules, found.assessment, found.law_version)

    async def RecordTaxEvents(
        self, request: pb.RecordTaxEventsRequest, context: _Context
    ) -> pb.RecordTaxEventsResponse:
        currencies = await self.app.currencies(accounts_named(request))
        done = await self.app.record(
            events_of(request, currencies), complete_of(request), frozenset(request.withdrawn_event_ids)
        )
        return pb.RecordTaxEventsResponse(
            recorded=done.recorded,
            known=done.known,
            withdrawn=done.withdrawn,
            unsettled=[
                pb.UnsettledTaxAccount(account_id=account_id, reason=fact.reason, description=fact.message)
                for account_id, fact in done.unsettled
            ],
        )

    async def ListTaxEvents(self, request: pb.ListTaxEventsRequest, context: _Context) -> pb.ListTaxEventsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        which = EventFilter(
            AccountId(request.account_id) if request.account_id else None,
            InstrumentId(request.instrument_id) if request.instrument_id else None,
        )
        after = None if page.after is None else (date.fromisoformat(str(page.after[0])), str(page.after[1]))
        found = await self.app.list_events(which, after, page.size + 1)
        shown, token = cut(found, page, lambda each: (each.event.row.day.isoformat(), each.event.event_id))
        named = {AccountId(each.event.account_id) for each in shown if each.event.account_id is not None}
        currencies = await self.app.currencies(named)
        return pb.ListTaxEventsResponse(
            events=[
                recorded_message(each, currencies.get(AccountId(each.event.account_id or ""), "")) for each in shown
            ],
            next_page_token=token,
        )

    async def CompareTaxActions(
        self, request: pb.CompareTaxActionsRequest, context: _Context
    ) -> pb.CompareTaxActionsResponse:
        found = await self.app.compare(
            owners_of(request),
            rules_of(request),
            identical_of(request.identical),
            wish_of(request),
            rates_of(request),
        )
        return comparison_message(found)

    async def GetTaxLedger(self, request: pb.GetTaxLedgerRequest, context: _Context) -> pb.GetTaxLedgerResponse:
        ledger = await self.app.ledger(
            owners_of(request),
            rules_of(request),
            request.tax_year,
            identical_of(request.identical),
            law_time_of(request),
            rates=rates_of(request),
        )
        return ledger_message(ledger)

    async def StreamTaxYears(
        self, request: pb.StreamTaxYearsRequest, context: _Context
    ) -> AsyncIterator[pb.StreamTaxYearsResponse]:
        read = taxpayers_of(request)
        known = [each for each in read if isinstance(each, Taxpayer)]
        price_set_id = PriceSetId(request.price_set_id) if request.price_set_id else None
        done = self.app.years(known, request.tax_year, price_set_id, law_time_of(request))
        for each in read:
            if isinstance(each, Taxpayer):
                _, outcome = await anext(done)
                yield year_message(each.taxpayer_id, outcome)
            else:
                yield year_message(*each)

    async def ListTaxLaws(self, request: pb.ListTaxLawsRequest, context: _Context) -> pb.ListTaxLawsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        found, book = await self.laws.listed(request.jurisdiction, request.tax_year)
        after = None if page.after is None else tuple(page.after)
        later = [each for each in found if after is None or _place(each) > after]
        shown, token = cut(later[: page.size + 1], page, _place)
        horizons, today = await self.laws.horizons()
        return pb.ListTaxLawsResponse(
            laws=[law_message(each, book) for each in shown],
            next_page_token=token,
            horizons=[
                horizon_message(each, today) for each in horizons if request.jurisdiction in ("", each.jurisdiction)
            ],
        )

    async def ProposeTaxLaw(self, request: pb.ProposeTaxLawRequest, context: _Context) -> pb.ProposeTaxLawResponse:
        amounts = amounts_of(request)
        version = await self.laws.propose(request.jurisdiction, request.tax_year, amounts, request.source, subject())
        _, book = await self.laws.listed(request.jurisdiction, request.tax_year)
        return pb.ProposeTaxLawResponse(law=law_message(version, book))

    async def ReviewTaxLaw(self, request: pb.ReviewTaxLawRequest, context: _Context) -> pb.ReviewTaxLawResponse:
        version, book = await self.laws.review(
            request.jurisdiction,
            request.tax_year,
            request.version,
            subject(),
            approved=request.approved,
            note=request.note,
        )
        return pb.ReviewTaxLawResponse(law=law_message(version, book))


def _place(version: LawVersion) -> tuple[str, int, int]:
    return version.jurisdiction, version.tax_year, version.version


def law_time_of(
    request: pb.PreviewTaxYearRequest | pb.GetTaxLedgerRequest | pb.StreamTaxYearsRequest,
) -> datetime | None:
    """Return the instant whose law counts; None for now."""
    return instant_of(request.law_time, "law_time") if request.HasField("law_time") else None
