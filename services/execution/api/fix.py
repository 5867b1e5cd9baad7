"""`evenkeel.execution.v1.FixService`: what FIX sessions are up to."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc.aio

from evenkeel.execution.v1 import fix_service_pb2 as pb
from evenkeel.execution.v1.fix_service_pb2_grpc import FixServiceServicer
from services.execution.api.servicer import caller_name
from services.execution.app.fix_sessions import FixSessions, MessageFilter, MessageView, Reset, ResetState, SessionView
from services.execution.fix.protocol.codec import Undecodable, decode
from services.execution.fix.protocol.dictionary import Dictionary, fix_4_4, fix_5_0_sp2
from services.runtime.paging import cut, read_page
from services.runtime.wire import instant_message

_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

PAGE_DEFAULT = 100
PAGE_MAX = 1_000
# Password <554>, NewPassword <925>: never shown.
SECRET_TAGS = frozenset({554, 925})

_RESET_STATES = {
    ResetState.PROPOSED: pb.FixReset.STATE_PROPOSED,
    ResetState.APPROVED: pb.FixReset.STATE_APPROVED,
    ResetState.DONE: pb.FixReset.STATE_DONE,
}


@dataclass(frozen=True, slots=True)
class FixServicer(FixServiceServicer):
    """Answers callers who watch FIX sessions."""

    sessions: FixSessions

    async def ListFixSessions(
        self, request: pb.ListFixSessionsRequest, context: _Context
    ) -> pb.ListFixSessionsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        after = "" if page.after is None else str(page.after[0])
        found = [each for each in await self.sessions.sessions() if each.session > after]
        shown, token = cut(found[: page.size + 1], page, lambda each: (each.session,))
        return pb.ListFixSessionsResponse(sessions=[_session(each) for each in shown], next_page_token=token)

    async def ListFixMessages(
        self, request: pb.ListFixMessagesRequest, context: _Context
    ) -> pb.ListFixMessagesResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        which = MessageFilter(request.session, request.msg_type, request.value, request.heartbeats)
        before = None if page.after is None else int(page.after[0])
        found = await self.sessions.messages(which, before, page.size + 1)
        shown, token = cut(found, page, lambda each: (str(each.place),))
        dictionary = fix_5_0_sp2() if request.session.startswith("FIXT") else fix_4_4()
        return pb.ListFixMessagesResponse(
            messages=[_message(each, dictionary) for each in shown], next_page_token=token
        )

    async def ProposeFixReset(
        self, request: pb.ProposeFixResetRequest, context: _Context
    ) -> pb.ProposeFixResetResponse:
        reset = await self.sessions.propose_reset(request.session, by=caller_name(), why=request.reason)
        return pb.ProposeFixResetResponse(reset=_reset(reset))

    async def ApproveFixReset(
        self, request: pb.ApproveFixResetRequest, context: _Context
    ) -> pb.ApproveFixResetResponse:
        reset = await self.sessions.approve_reset(request.reset_id, by=caller_name())
        return pb.ApproveFixResetResponse(reset=_reset(reset))


def _session(view: SessionView) -> pb.FixSession:
    return pb.FixSession(
        session=view.session,
        up=view.up,
        down_reason=view.why_down,
        check_time=None if view.check_time is None else instant_message(view.check_time),
        generation=view.generation,
        start_time=instant_message(view.since),
        next_out=view.next_out,
        next_in=view.next_in,
        open_resets=[_reset(each) for each in view.resets],
    )


def _message(view: MessageView, dictionary: Dictionary) -> pb.FixMessage:
    return pb.FixMessage(
        direction=pb.FixMessage.DIRECTION_OUT if view.outgoing else pb.FixMessage.DIRECTION_IN,
        generation=view.generation,
        number=view.number,
        msg_type=view.msg_type,
        name=dictionary.message_name(view.msg_type),
        time=instant_message(view.time),
        fields=_fields(view.data, dictionary),
    )


def _fields(data: bytes, dictionary: Dictionary) -> list[pb.FixMessage.Field]:
    try:
        message = decode(data, dictionary.data_tags)
    except Undecodable as wrong:
        return [pb.FixMessage.Field(tag=0, name="", value=f"{wrong}: {data.decode('utf-8', 'replace')}")]
    return [
        pb.FixMessage.Field(
            tag=tag,
            name=dictionary.fields[tag].name if tag in dictionary.fields else "",
            value="(not shown)" if tag in SECRET_TAGS else value.decode("utf-8", "replace"),
        )
        for tag, value in message.fields
    ]


def _reset(reset: Reset) -> pb.FixReset:
    return pb.FixReset(
        reset_id=reset.reset_id,
        session=reset.session,
        state=_RESET_STATES[reset.state],
        proposer=reset.proposer,
        reason=reset.why,
        propose_time=instant_message(reset.propose_time),
        approver=reset.approver,
    )
