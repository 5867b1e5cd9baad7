"""`evenkeel.audit.v1.RecordsService`: message → values → use case → message."""

from collections.abc import Sequence
from typing import Any, TypeVar

import grpc.aio

from evenkeel.audit.v1 import audit_service_pb2 as audit
from evenkeel.audit.v1 import records_service_pb2 as pb
from evenkeel.audit.v1.records_service_pb2_grpc import RecordsServiceServicer
from services.audit.api.messages import filter_of
from services.audit.api.reading import AccessRecorder
from services.audit.app import Access, RecordsApp, accounts_in
from services.audit.domain.filter import EntryFilter
from services.audit.domain.logs import EVENTS
from services.audit.domain.records import Action, Hold, Proposal, State
from services.audit.domain.retention import ClassInvalid, ClassVersion, RetentionClass, StartRule
from services.kernel.canonical import canonical_json
from services.kernel.errors import Invalid, Violations
from services.runtime.context import current_caller
from services.runtime.paging import Page, PageTokenInvalid, cut, read_page
from services.runtime.wire import instant_message

PAGE_DEFAULT = 100
PAGE_MAX = 500

REVEALED_KIND = "audit.access.revealed"

_START_RULES = {
    pb.RetentionClass.START_RULE_RECORDED: StartRule.RECORDED,
    pb.RetentionClass.START_RULE_CALENDAR_YEAR_END: StartRule.CALENDAR_YEAR_END,
    pb.RetentionClass.START_RULE_FISCAL_YEAR_END: StartRule.FISCAL_YEAR_END,
}
_START_RULE_VALUES = {rule: value for value, rule in _START_RULES.items()}
_ACTIONS = {
    Action.CLASS: pb.Proposal.ACTION_CLASS,
    Action.HOLD_RELEASE: pb.Proposal.ACTION_HOLD_RELEASE,
    Action.DISPOSAL: pb.Proposal.ACTION_DISPOSAL,
    Action.ERASURE: pb.Proposal.ACTION_ERASURE,
}
_STATES = {
    State.OPEN: pb.Proposal.STATE_OPEN,
    State.REJECTED: pb.Proposal.STATE_REJECTED,
    State.APPROVED: pb.Proposal.STATE_APPROVED,
    State.DONE: pb.Proposal.STATE_DONE,
    State.BLOCKED: pb.Proposal.STATE_BLOCKED,
}

T = TypeVar("T", Hold, Proposal)
P = TypeVar("P", int, str)

_Context = grpc.aio.ServicerContext[Any, Any]


class RecordsServicer(RecordsServiceServicer):
    """Answers those who govern the record."""

    def __init__(self, app: RecordsApp, access: AccessRecorder) -> None:
        """Answer by `app`, and have `access` write down who reads personal data."""
        self._app = app
        self._access = access

    async def ProposeRetentionClass(
        self, request: pb.ProposeRetentionClassRequest, context: _Context
    ) -> pb.ProposeRetentionClassResponse:
        rule = _class_of(request.retention_class)
        proposal = await self._app.propose_class(request.request_id, rule, reason=request.reason, actor=_actor())
        return pb.ProposeRetentionClassResponse(proposal=_proposal_message(proposal))

    async def PlaceHold(self, request: pb.PlaceHoldRequest, context: _Context) -> pb.PlaceHoldResponse:
        hold = await self._app.place_hold(
            request.request_id,
            matter=request.matter,
            reason=request.reason,
            scope=filter_of(request.scope, "scope"),
            actor=_actor(),
        )
        return pb.PlaceHoldResponse(hold=_hold_message(hold))

    async def ProposeHoldRelease(
        self, request: pb.ProposeHoldReleaseRequest, context: _Context
    ) -> pb.ProposeHoldReleaseResponse:
        hold_id = request.hold_id.lower()
        proposal = await self._app.propose_release(request.request_id, hold_id, reason=request.reason, actor=_actor())
        return pb.ProposeHoldReleaseResponse(proposal=_proposal_message(proposal))

    async def ProposeDisposal(
        self, request: pb.ProposeDisposalRequest, context: _Context
    ) -> pb.ProposeDisposalResponse:
        proposal = await self._app.propose_disposal(
            request.request_id,
            request.log or EVENTS,
            request.start_index,
            request.stop_index,
            reason=request.reason,
            actor=_actor(),
        )
        return pb.ProposeDisposalResponse(proposal=_proposal_message(proposal))

    async def ProposeErasure(self, request: pb.ProposeErasureRequest, context: _Context) -> pb.ProposeErasureResponse:
        proposal = await self._app.propose_erasure(
            request.request_id, request.subject.kind, request.subject.id, reason=request.reason, actor=_actor()
        )
        return pb.ProposeErasureResponse(proposal=_proposal_message(proposal))

    async def DecideProposal(self, request: pb.DecideProposalRequest, context: _Context) -> pb.DecideProposalResponse:
        proposal = await self._app.decide(
            request.request_id,
            request.proposal_id.lower(),
            approve=request.decision == pb.DecideProposalRequest.DECISION_APPROVE,
            comment=request.comment,
            actor=_actor(),
        )
        return pb.DecideProposalResponse(proposal=_proposal_message(proposal))

    async def GetProposal(self, request: pb.GetProposalRequest, context: _Context) -> pb.GetProposalResponse:
        return pb.GetProposalResponse(proposal=_proposal_message(await self._app.proposal(request.proposal_id.lower())))

    async def ListProposals(self, request: pb.ListProposalsRequest, context: _Context) -> pb.ListProposalsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        found = [
            each
            for each in reversed((await self._app.records()).proposals.values())
            if request.state in (pb.Proposal.STATE_UNSPECIFIED, _STATES[each.state])
        ]
        shown, token = _page(found, page)
        return pb.ListProposalsResponse(proposals=map(_proposal_message, shown), next_page_token=token)

    async def ListHolds(self, request: pb.ListHoldsRequest, context: _Context) -> pb.ListHoldsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        records = await self._app.records()
        found = [each for each in reversed(records.holds.values()) if each.stands or request.released]
        shown, token = _page(found, page)
        return pb.ListHoldsResponse(holds=map(_hold_message, shown), next_page_token=token)

    async def ListRetentionClasses(
        self, request: pb.ListRetentionClassesRequest, context: _Context
    ) -> pb.ListRetentionClassesResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        classes = (await self._app.records()).classes
        after = _after(page, str)
        names = [name for name in sorted(classes) if after is None or name > after]
        shown, token = cut(names, page, lambda name: (name,))
        return pb.ListRetentionClassesResponse(
            retention_classes=(_class_message(classes[name][-1], len(classes[name])) for name in shown),
            next_page_token=token,
        )

    async def ListPartitions(self, request: pb.ListPartitionsRequest, context: _Context) -> pb.ListPartitionsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        after = _after(page, int)
        found = [
            each for each in await self._app.partitions(request.log or EVENTS) if after is None or each.start > after
        ]
        shown, token = cut(found, page, lambda each: (each.start,))
        return pb.ListPartitionsResponse(
            partitions=(
                pb.Partition(start_index=each.start, stop_index=each.stop, disposed=each.disposed, full=each.full)
                for each in shown
            ),
            next_page_token=token,
        )

    async def GetRetention(self, request: pb.GetRetentionRequest, context: _Context) -> pb.GetRetentionResponse:
        kept, holds = await self._app.retention(request.log or EVENTS, request.index)
        response = pb.GetRetentionResponse(holds=map(_hold_message, holds))
        if kept.rule is not None and kept.until is not None and kept.accessible_until is not None:
            versions = (await self._app.records()).classes[kept.rule.class_id]
            number, version = next((at, each) for at, each in enumerate(versions, 1) if each.rule == kept.rule)
            response.retention_class.CopyFrom(_class_message(version, number))
            response.keep_until.CopyFrom(instant_message(kept.until))
            response.accessible_until.CopyFrom(instant_message(kept.accessible_until))
        return response

    async def RevealEntry(self, request: pb.RevealEntryRequest, context: _Context) -> pb.RevealEntryResponse:
        revealed = await self._app.reveal(request.index)
        await self._access.record(
            context,
            Access(
                log=EVENTS,
                subjects=revealed.entry.event.subjects,
                question={"index": request.index, "reason": request.reason, "fields": list(revealed.fields)},
                accounts=accounts_in([revealed.entry]),
                kind=REVEALED_KIND,
            ),
        )
        return pb.RevealEntryResponse(data=revealed.data, personal_fields=revealed.fields)


def _actor() -> str:
    caller = current_caller()
    if caller is None:
        raise RuntimeError("the record is governed in a call, by somebody")
    return caller.subject


def _class_of(message: pb.RetentionClass) -> RetentionClass:
    """Return the class that `message` says.

    Raises:
        Invalid: It contradicts itself.
    """
    end = (message.fiscal_year_end_month, message.fiscal_year_end_day)
    try:
        return RetentionClass(
            class_id=message.class_id,
            title=message.title,
            citation=message.citation,
            kinds=tuple(message.kinds),
            years=message.years,
            accessible_years=message.accessible_years,
            start_rule=_START_RULES[message.start_rule],
            fiscal_year_end=end if any(end) else None,
        )
    except ClassInvalid as error:
        violations = Violations()
        violations.add(f"retention_class.{error.field}", error.description)
        violations.raise_if_any(Invalid)
        raise


def _class_message(version: ClassVersion, number: int) -> pb.RetentionClass:
    rule = version.rule
    month, day = rule.fiscal_year_end or (0, 0)
    return pb.RetentionClass(
        class_id=rule.class_id,
        title=rule.title,
        citation=rule.citation,
        kinds=rule.kinds,
        years=rule.years,
        accessible_years=rule.accessible_years,
        start_rule=_START_RULE_VALUES[rule.start_rule],
        fiscal_year_end_month=month,
        fiscal_year_end_day=day,
        approve_time=instant_message(version.approved_time),
        version=number,
    )


def _proposal_message(proposal: Proposal) -> pb.Proposal:
    return pb.Proposal(
        proposal_id=proposal.proposal_id,
        action=_ACTIONS[proposal.action],
        state=_STATES[proposal.state],
        content=canonical_json(proposal.content).decode(),
        reason=proposal.reason,
        proposer=proposal.proposer,
        propose_time=instant_message(proposal.proposed_time),
        decider=proposal.decider or "",
        decide_time=None if proposal.decided_time is None else instant_message(proposal.decided_time),
        comment=proposal.comment,
        outcome=canonical_json(proposal.outcome).decode() if proposal.outcome else "",
        finish_time=None if proposal.finished_time is None else instant_message(proposal.finished_time),
        index=proposal.index,
    )


def _hold_message(hold: Hold) -> pb.Hold:
    return pb.Hold(
        hold_id=hold.hold_id,
        matter=hold.matter,
        reason=hold.reason,
        scope=_filter_message(hold.scope),
        placer=hold.placed_by,
        place_time=instant_message(hold.placed_time),
        release_time=None if hold.released_time is None else instant_message(hold.released_time),
        index=hold.index,
    )


def _filter_message(wanted: EntryFilter) -> audit.EntryFilter:
    return audit.EntryFilter(
        kind=wanted.kind or "",
        subjects=[audit.Subject(kind=kind, id=each) for kind, each in wanted.subjects.items()],
        actor=wanted.actor or "",
        producer=wanted.producer or "",
        trace_id=wanted.trace_id or "",
        start_time=None if wanted.start_time is None else instant_message(wanted.start_time),
        end_time=None if wanted.end_time is None else instant_message(wanted.end_time),
    )


def _page(found: Sequence[T], page: Page) -> tuple[Sequence[T], str]:
    """Return those of `found`, newest first, that the page shows, and the token of the next page."""
    before = _after(page, int)
    return cut([each for each in found if before is None or each.index < before], page, lambda each: (each.index,))


def _after(page: Page, kind: type[P]) -> P | None:
    """Return where the page before ended; None for the first.

    Raises:
        PageTokenInvalid: The token says something else.
    """
    match page.after:
        case None:
            return None
        case (value,) if isinstance(value, kind):
            return value
        case _:
            raise PageTokenInvalid("page_token: must be a token that this list gave for this filter")
