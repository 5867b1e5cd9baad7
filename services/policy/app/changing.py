"""The use cases by which rules change."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.kernel.clock import Clock
from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.app.checking import (
    Place,
    check_from_then_on,
    existing,
    existing_change,
    outlook,
    place_of,
    refuse_worse,
)
from services.policy.app.events import change_event, version_event
from services.policy.app.ports import Begin, ChangeFilter, NumberedChange, PolicyReader, PolicyWriter, Read
from services.policy.app.proposals import Edit, Proposal, check_rollout
from services.policy.app.rolling import begin_rollout
from services.policy.domain.approvals import Need, missing, needs
from services.policy.domain.changes import Change, Decided, drafted
from services.policy.domain.document import EMPTY, Document
from services.policy.domain.errors import ChangeState, RolloutOpen, VersionNotFound
from services.policy.domain.history import Activation, AsOf, following, newest
from services.policy.domain.lint import Finding
from services.policy.domain.notices import NoticeKind, noticed
from services.policy.domain.tree import Node

# Activations announced in one transaction.
ANNOUNCED_AT_ONCE_MAX = 500


@dataclass(frozen=True, slots=True)
class ChangeApp:
    """How rules change: one person writes, another approves.

    `clock` tells when things are recorded, `market_clock` when rules hold; those with one of `approver_roles` may
    approve.
    """

    read: Read
    begin: Begin
    clock: Clock
    market_clock: Clock
    approver_roles: frozenset[str]

    async def create_change(self, proposal: Proposal) -> tuple[Change, tuple[Finding, ...]]:
        """Draft a change, and say what is odd about it.

        Raises:
            NodeNotFound: The node does not exist.
            PolicyContradiction: The document cannot work.
            GuardrailExceeded: A guardrail above forbids a value.
        """
        async with self.begin() as policies:
            return await self._drafted(policies, proposal)

    async def edit_change(
        self, change_id: ChangeId, edit: Edit, *, etag: str, by: str
    ) -> tuple[Change, tuple[Finding, ...]]:
        """Edit a change that is not decided; it is a draft then, written for the node as it is now.

        Raises:
            ChangeNotFound: It does not exist.
            VersionConflict: It is not the change that `etag` was read from.
            NotTheAuthor: `by` did not write it.
            ChangeState: It is decided.
            PolicyContradiction: The document cannot work.
            GuardrailExceeded: A guardrail above forbids a value.
        """
        async with self.begin() as policies:
            change = await existing_change(policies, change_id)
            change.check_etag(etag)
            document = edit.document if edit.document is not None else change.document
            requested_time = edit.requested_time if edit.requested_time is not None else change.requested_time
            requested_time = None if edit.clear_time else requested_time
            rollout = edit.rollout if edit.rollout is not None else change.rollout
            rollout = None if edit.clear_rollout else rollout
            check_rollout(rollout, requested_time)
            edited = change.edited(
                by,
                document=document,
                reason=edit.reason if edit.reason is not None else change.reason,
                requested_time=requested_time,
                rollout=rollout,
                base_version_id=await _newest_version(policies, change.node_id),
                market_time=self.market_clock.now(),
            )
            place = await self._place(policies, change.node_id, edited.requested_time, document)
            warnings = place.check(document)
            await policies.replace_change(edited)
            await policies.emit(change_event("edited", edited, place.node))
        return edited, warnings

    async def submit_change(self, change_id: ChangeId, *, etag: str, by: str) -> Change:
        """Submit a draft for approval.

        Raises:
            ChangeNotFound: It does not exist.
            VersionConflict: It is not the change that `etag` was read from, or its node has a newer version.
            NotTheAuthor: `by` did not write it.
            ChangeState: It is no draft.
            PolicyContradiction: It could not work any more, or something below could not.
            GuardrailExceeded: A guardrail above forbids a value by now.
        """
        async with self.begin() as policies:
            change = await existing_change(policies, change_id)
            change.check_etag(etag)
            return await self._submitted(policies, change, by)

    async def roll_back(
        self, change_id: ChangeId, node_id: PolicyNodeId, version_id: PolicyVersionId, *, reason: str, author: str
    ) -> Change:
        """Propose that a node says again what an earlier approved version of it said; it waits for an approver.

        Raises:
            NodeNotFound: The node does not exist.
            VersionNotFound: The version was never approved for the node.
            PolicyContradiction: The document cannot work any more, or something below could not.
            GuardrailExceeded: A guardrail above forbids a value by now.
        """
        async with self.begin() as policies:
            await existing(policies, node_id)
            earlier = await policies.change_of_version(version_id)
            if earlier is None or earlier.node_id != node_id or earlier.decided is not Decided.APPROVED:
                raise VersionNotFound(
                    f"no version {version_id} was ever approved for {node_id}", node_id=node_id, version_hash=version_id
                )
            change, _ = await self._drafted(policies, Proposal(change_id, node_id, earlier.document, reason, author))
            return await self._submitted(policies, change, author)

    async def approve_change(
        self,
        change_id: ChangeId,
        read: PolicyVersionId,
        *,
        comment: str,
        by: str,
        roles: frozenset[str] = frozenset(),
        etag: str | None = None,
    ) -> Change:
        """Approve the content `read` of a submitted change, as somebody with `roles`.

        It holds from its effective time on, or begins to be rolled out, once everybody has approved who has to. With
        `etag`, nothing else of the change may differ from what was read either.

        Raises:
            ChangeNotFound: It does not exist.
            SelfApproval: `by` wrote it.
            ChangeState: It does not wait for approval, or would rewrite history.
            ApprovalStale: Its content is not the one that was read.
            ApprovedAlready: `by` approved it before.
            RolloutOpen: Its node has a rollout that is not final.
            VersionConflict: It is not the change that `etag` was read from, or its node has a newer version or one that
                takes effect later.
            PolicyContradiction: It could not work any more, or something below could not.
            GuardrailExceeded: A guardrail above forbids a value by now.
        """
        async with self.begin() as policies:
            await policies.decide_alone()
            change = await existing_change(policies, change_id)
            if etag is not None:
                change.check_etag(etag)
            history = await policies.history(change.node_id)
            last = newest(history)
            now, market_time = self.clock.now(), self.market_clock.now()
            supported = change.supported(
                by, read, roles=roles, comment=comment, at=now, market_time=market_time, first=last is None
            )
            supported.check_base(None if last is None else last.version_id)
            await _refuse_open_rollout(policies, change.node_id)
            place = await self._checked(policies, supported, supported.requested_time)
            before = EMPTY if last is None else (await existing_change(policies, last.change_id)).document
            waiting_for = missing(await _needs(policies, place, supported, before), supported.approvals)
            if waiting_for:
                await policies.replace_approvals(supported)
                await policies.emit(change_event("supported", supported, place.node, comment, against=before))
                return supported
            approved = supported.approved(market_time)
            await policies.replace_change(approved)
            await policies.emit(change_event("approved", approved, place.node, comment, against=before))
            if approved.effective_time is None:
                if last is not None and last.effective_time > market_time:
                    raise ChangeState(
                        f"version {last.version_id} of {change.node_id} takes effect at "
                        f"{last.effective_time.isoformat()}; a rollout begins after that",
                        change_id=change_id,
                    )
                await begin_rollout(policies, approved, market_time)
                return approved
            activation = following(
                history,
                node_id=approved.node_id,
                version_id=approved.version_id,
                change_id=approved.change_id,
                effective_time=approved.effective_time,
                recorded_time=now,
            )
            in_force_now = activation.effective_time <= market_time
            await policies.add_activation(activation, announced=in_force_now)
            if in_force_now:
                await _announce(policies, activation, place.node, history, now)
            else:
                await _note(policies, NoticeKind.SCHEDULED, activation, now)
        return approved

    async def reject_change(self, change_id: ChangeId, *, comment: str, by: str) -> Change:
        """Reject a submitted change.

        Raises:
            ChangeNotFound: It does not exist.
            SelfApproval: `by` wrote it.
            ChangeState: It does not wait for approval.
        """
        async with self.begin() as policies:
            change = await existing_change(policies, change_id)
            rejected = change.rejected(by, comment=comment, at=self.clock.now(), market_time=self.market_clock.now())
            await policies.replace_change(rejected)
            await policies.emit(change_event("rejected", rejected, await existing(policies, change.node_id), comment))
        return rejected

    async def withdraw_change(self, change_id: ChangeId, *, by: str) -> Change:
        """Take back a change that is not in force yet.

        Raises:
            ChangeNotFound: It does not exist.
            NotTheAuthor: `by` did not write it.
            ChangeState: It is or was in force, or came to nothing before.
            PolicyContradiction: Something that was approved since could not work without it.
        """
        async with self.begin() as policies:
            await policies.decide_alone()
            change = await existing_change(policies, change_id)
            withdrawn = change.withdrawn(by, self.market_clock.now())
            if change.effective_time is not None:
                now = self.clock.now()
                history = await policies.history(change.node_id)
                before = await outlook(policies, change.node_id, change.effective_time)
                await policies.revoke(change_id, now)
                refuse_worse(before, await outlook(policies, change.node_id, change.effective_time))
                await _note(policies, NoticeKind.WITHDRAWN, next(a for a in history if a.change_id == change_id), now)
            await policies.replace_change(withdrawn)
            await policies.emit(change_event("withdrawn", withdrawn, await existing(policies, change.node_id)))
        return withdrawn

    async def approval_needs(self, change: Change) -> tuple[Need, ...]:
        """Return whose approval a change needs that waits for it; none for any other."""
        if change.decided is not Decided.SUBMITTED:
            return ()
        async with self.read() as policies:
            place = await self._place(policies, change.node_id, change.requested_time, change.document)
            last = newest(await policies.history(change.node_id))
            before = EMPTY if last is None else (await existing_change(policies, last.change_id)).document
            return await _needs(policies, place, change, before)

    async def get_change(self, change_id: ChangeId) -> Change:
        """Return a change.

        Raises:
            ChangeNotFound: It does not exist.
        """
        async with self.read() as policies:
            return await existing_change(policies, change_id)

    async def list_changes(self, wanted: ChangeFilter, *, before: int | None, limit: int) -> list[NumberedChange]:
        """Return up to `limit` changes with numbers below `before`, newest first."""
        async with self.read() as policies:
            return await policies.changes(wanted, before=before, limit=limit)

    async def announce_due(self) -> int:
        """Tell of versions that have taken effect since the last look, and return of how many.

        What is in force never waits for this: it follows from the clock.
        """
        async with self.begin() as policies:
            await policies.decide_alone()
            due = await policies.due(self.market_clock.now(), ANNOUNCED_AT_ONCE_MAX)
            now = self.clock.now()
            for activation in due:
                await policies.announced(activation, now)
                node = await existing(policies, activation.node_id)
                await _announce(policies, activation, node, await policies.history(activation.node_id), now)
        return len(due)

    async def _drafted(self, policies: PolicyWriter, proposal: Proposal) -> tuple[Change, tuple[Finding, ...]]:
        place = await self._place(policies, proposal.node_id, proposal.requested_time, proposal.document)
        warnings = place.check(proposal.document)
        change = drafted(
            proposal.change_id,
            proposal.node_id,
            proposal.document,
            base_version_id=await _newest_version(policies, proposal.node_id),
            reason=proposal.reason,
            requested_time=proposal.requested_time,
            author=proposal.author,
            at=self.clock.now(),
            rollout=proposal.rollout,
        )
        await policies.add_change(change)
        await policies.emit(change_event("created", change, place.node))
        return change, warnings

    async def _submitted(self, policies: PolicyWriter, change: Change, by: str) -> Change:
        reach = await policies.account_count(change.node_id)
        submitted = change.submitted(by, self.market_clock.now(), reach)
        submitted.check_base(await _newest_version(policies, change.node_id))
        place = await self._checked(policies, submitted, submitted.requested_time)
        await policies.replace_change(submitted)
        await policies.emit(change_event("submitted", submitted, place.node))
        return submitted

    async def _place(
        self, policies: PolicyReader, node_id: PolicyNodeId, requested_time: datetime | None, document: Document
    ) -> Place:
        place = await place_of(policies, node_id, requested_time or self.market_clock.now(), document)
        return replace(place, approver_roles=self.approver_roles)

    async def _checked(self, policies: PolicyReader, change: Change, at: datetime | None) -> Place:
        place = await self._place(policies, change.node_id, at, change.document)
        place.check(change.document)
        await check_from_then_on(policies, place, change.document)
        return place


async def _needs(policies: PolicyReader, place: Place, change: Change, before: Document) -> tuple[Need, ...]:
    """Return whose approval `change` needs by the rules that hold at its place now, before it does."""
    own = (await policies.layers([change.node_id], AsOf(place.at))).get(change.node_id)
    rules = (place.above if own is None else place.above.below(own)).document.approvals
    # Counted again: accounts may have come since it was submitted.
    reach, assets = await policies.account_count(change.node_id), await policies.assets(change.node_id)
    return needs(rules, before, change.document, reach, assets)


async def _refuse_open_rollout(policies: PolicyReader, node_id: PolicyNodeId) -> None:
    found = await policies.rollouts(node_id=node_id, open_only=True, before=None, limit=1)
    if found:
        change_id = found[0].rollout.change_id
        raise RolloutOpen(
            f"change {change_id} of {node_id} is being rolled out; finish that or roll it back first",
            node_id=node_id,
            change_id=change_id,
        )


async def _newest_version(policies: PolicyReader, node_id: PolicyNodeId) -> PolicyVersionId | None:
    last = newest(await policies.history(node_id))
    return None if last is None else last.version_id


async def _announce(
    policies: PolicyWriter, activation: Activation, node: Node, history: Sequence[Activation], now: datetime
) -> None:
    before = next((a for a in history if a.sequence == activation.follows), None)
    if before is not None:
        await policies.emit(version_event("superseded", before, node))
    await policies.emit(version_event("activated", activation, node))
    await _note(policies, NoticeKind.ACTIVATED, activation, now)


async def _note(policies: PolicyWriter, kind: NoticeKind, activation: Activation, now: datetime) -> None:
    await policies.add_notice(noticed(kind, activation, last=await policies.last_position(), at=now))
