"""The use cases about clients: what is on record of them, and what policy makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.kernel.canonical import JsonValue
from services.kernel.clock import Clock
from services.kernel.decimals import plain
from services.kernel.errors import Fact, Invalid
from services.kernel.events import Event
from services.kernel.ids import PolicyNodeId, PolicyVersionId
from services.policy.app.checking import existing
from services.policy.app.client_events import consent_event, preferences_event, profile_event
from services.policy.app.editions import Editions
from services.policy.app.events import subjects_of
from services.policy.app.loading import resolver_inside
from services.policy.app.ports import Begin, PolicyReader, PolicyWriter, Read
from services.policy.domain.diff import Difference, differences
from services.policy.domain.document import Document
from services.policy.domain.errors import (
    ClientNodeKind,
    ConsentNotValid,
    PolicyNotInForce,
    ProfileNotFound,
    RecordOrder,
)
from services.policy.domain.history import AsOf
from services.policy.domain.personal import (
    Consent,
    Outcome,
    Profile,
    ProfileRecord,
    next_anniversary,
    start_of,
    valid_kinds,
)
from services.policy.domain.personal_rules import PreferenceLimits
from services.policy.domain.plain import in_plain_words
from services.policy.domain.preference_limits import (
    PreferenceOutsideBounds,
    check,
    check_change,
    preference_layer,
    problems,
)
from services.policy.domain.preferences import Preferences, PreferencesRecord
from services.policy.domain.resolve import Resolver
from services.policy.domain.tree import Node, NodeKind

# Profiles looked at in one transaction.
LOOKED_AT_ONCE_MAX = 200

# The instant before another one, as finely as instants are kept.
_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Known:
    """A profile that counts, and what the rule in force makes of it."""

    record: ProfileRecord
    outcome: Outcome | None = None
    rule_version_id: PolicyVersionId | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What preferences would change, and why they are not possible: field, words and reason of each problem."""

    differences: tuple[Difference, ...]
    problems: tuple[tuple[str, str, str], ...]
    document: Document


@dataclass(frozen=True, slots=True)
class ClientApp:
    """What is on record of clients.

    `clock` tells when things are recorded, `market_clock` when they hold.
    """

    read: Read
    begin: Begin
    editions: Editions
    clock: Clock
    market_clock: Clock

    async def set_profile(
        self, node_id: PolicyNodeId, profile: Profile, *, reason: str, by: str, effective_time: datetime | None
    ) -> ProfileRecord:
        """Record a profile; it takes effect now, or at `effective_time`.

        Raises:
            NodeNotFound: The node does not exist.
            ClientNodeKind: It is neither an account nor a household.
            Invalid: The profile cannot be.
            RecordOrder: It would rewrite the past, or a later profile is on record.
        """
        now = self.market_clock.now()
        profile.check(now.date())
        async with self.begin() as policies:
            node = await _client_node(policies, node_id, NodeKind.ACCOUNT, NodeKind.HOUSEHOLD)
            history = await policies.profile_history(node_id)
            last = history[-1] if history else None
            record = ProfileRecord(
                node_id=node_id,
                sequence=len(history) + 1,
                profile=profile,
                author=by,
                reason=reason,
                effective_time=_in_order(effective_time, None if last is None else last.effective_time, now),
                recorded_time=self.clock.now(),
            )
            await policies.add_profile(record)
            await policies.emit(profile_event(record, None if last is None else last.profile, node))
            if record.effective_time <= now:
                before = AsOf(now, record.recorded_time - _BEFORE)
                await _tell_of_models(policies, node, before, AsOf(now), "the profile changed")
            await _look_again(policies, node_id, now)
        return record

    async def profile(self, node_id: PolicyNodeId, as_of: AsOf) -> Known:
        """Return the profile that counts for an account or household, and what the rule in force makes of it.

        Raises:
            NodeNotFound: The node does not exist.
            ProfileNotFound: None is on record for it, nor above it.
        """
        async with self.read() as policies:
            node = await existing(policies, node_id)
        found = await self.editions.resolver([node_id], as_of)
        record = found.profile(node_id)
        if record is None:
            raise ProfileNotFound(f"no profile is on record for {node_id} or above it", node_id=node_id)
        if node.kind is not NodeKind.ACCOUNT:
            return Known(record)
        standing = found.standing(node_id)
        rule = standing.merged.sources.get("profile_rule.models", ())
        return Known(record, standing.outcome, rule[0].version_id if rule else None)

    async def record_consent(
        self,
        node_id: PolicyNodeId,
        kind: str,
        *,
        evidence: str,
        by: str,
        effective_time: datetime | None,
        expire_time: datetime | None,
    ) -> Consent:
        """Record that a client agreed.

        Raises:
            NodeNotFound: The node does not exist.
            ClientNodeKind: It is neither an account nor a household.
            Invalid: It would expire before it holds.
            RecordOrder: It would rewrite the past, or a later record of this kind exists.
        """
        now = self.market_clock.now()
        async with self.begin() as policies:
            node = await _client_node(policies, node_id, NodeKind.ACCOUNT, NodeKind.HOUSEHOLD)
            history = await policies.consent_history(node_id)
            last = max((each.effective_time for each in history if each.kind == kind), default=None)
            starts = _in_order(effective_time, last, now)
            if starts < now:
                raise RecordOrder(f"a consent holds from {now.isoformat()} on or later, not from {starts.isoformat()}")
            if expire_time is not None and expire_time <= starts:
                problem = f"must be after {starts.isoformat()}, was {expire_time.isoformat()}"
                raise Invalid.of("expire_time", problem)
            recorded_time = self.clock.now()
            consent = Consent(node_id, kind, len(history) + 1, True, evidence, by, starts, recorded_time, expire_time)
            await policies.add_consent(consent)
            await policies.emit(consent_event(consent, node))
        return consent

    async def withdraw_consent(self, node_id: PolicyNodeId, kind: str, *, evidence: str, by: str) -> Consent:
        """Record that a client no longer agrees; it holds from now on.

        Raises:
            NodeNotFound: The node does not exist.
            ConsentNotValid: The node itself has no valid consent of this kind, now or from some later day on.
        """
        now = self.market_clock.now()
        async with self.begin() as policies:
            node = await existing(policies, node_id)
            history = await policies.consent_history(node_id)
            starts = max([now, *(each.effective_time for each in history if each.kind == kind)])
            if kind not in valid_kinds(history, starts):
                raise ConsentNotValid(f"{node_id} has no valid consent of kind {kind!r}", node_id=node_id, kind=kind)
            consent = Consent(node_id, kind, len(history) + 1, False, evidence, by, starts, self.clock.now())
            await policies.add_consent(consent)
            await policies.emit(consent_event(consent, node))
        return consent

    async def consents(self, node_id: PolicyNodeId) -> tuple[list[Consent], frozenset[str]]:
        """Return all records of consent of a node, and the kinds that are valid now.

        Raises:
            NodeNotFound: The node does not exist.
        """
        async with self.read() as policies:
            await existing(policies, node_id)
            history = await policies.consent_history(node_id)
        return history, valid_kinds(history, self.market_clock.now())

    async def set_preferences(
        self, account_id: PolicyNodeId, preferences: Preferences, *, reason: str, by: str
    ) -> tuple[PreferencesRecord, tuple[Difference, ...]]:
        """Set the preferences of an account's client, and say what that changed in its effective policy.

        Raises:
            NodeNotFound: The account does not exist.
            ClientNodeKind: It is no account.
            PolicyNotInForce: No policy is in force for it.
            PreferenceOutsideBounds: Policy does not allow them; names each bound.
            PreferenceCoolingOff: The last change was too short a time ago.
            PreferenceChangeLimit: Changes would add up to too much.
        """
        now = self.market_clock.now()
        async with self.begin() as policies:
            node = await _client_node(policies, account_id, NodeKind.ACCOUNT)
            found = await _in_force(policies, account_id, now)
            history = await policies.preference_history(account_id)
            standing = found.standing(account_id)
            check(preferences, standing)
            check_change(preferences, history, standing, now)
            record = self._record(account_id, preferences, history, reason, by, now)
            changed = differences(found.applied(account_id).plain.document, _document(found, record))
            await policies.add_preferences(record)
            await policies.emit(preferences_event(record, changed, node))
        return record, changed

    async def preview_preferences(self, account_id: PolicyNodeId, preferences: Preferences) -> Preview:
        """Return what preferences would change now and which bounds they would break; nothing is written.

        Raises:
            NodeNotFound: The account does not exist.
            ClientNodeKind: It is no account.
            PolicyNotInForce: No policy is in force for it.
        """
        now = self.market_clock.now()
        async with self.read() as policies:
            await _client_node(policies, account_id, NodeKind.ACCOUNT)
            found = await _in_force(policies, account_id, now)
            history = await policies.preference_history(account_id)
        standing = found.standing(account_id)
        wrong = [
            (f"preferences.{part}", words, PreferenceOutsideBounds.reason)
            for part, words in problems(preferences, standing)
        ]
        try:
            check_change(preferences, history, standing, now)
        except Fact as fact:
            wrong.append(("", fact.message, fact.reason))
        after = _document(found, self._record(account_id, preferences, history, "", "", now))
        before = found.applied(account_id).plain.document
        return Preview(differences(before, after), tuple(wrong), after)

    async def preferences(self, account_id: PolicyNodeId) -> tuple[list[PreferencesRecord], PreferenceLimits]:
        """Return all preferences of an account, oldest first, and how far they may go by the rules in force.

        Raises:
            NodeNotFound: The account does not exist.
            ClientNodeKind: It is no account.
        """
        async with self.read() as policies:
            await _client_node(policies, account_id, NodeKind.ACCOUNT)
            history = await policies.preference_history(account_id)
        found = await self.editions.resolver([account_id], AsOf(self.market_clock.now()))
        return history, found.standing(account_id).limits

    async def look_at_due(self) -> int:
        """Tell of accounts that a birthday, or the like, led to another model since the last look.

        Return how many profiles were looked at. Which model holds never waits for this: it follows from the day.
        """
        async with self.begin() as policies:
            due = await policies.to_look_at(self.market_clock.now(), LOOKED_AT_ONCE_MAX)
            for node_id, at in due:
                node = await existing(policies, node_id)
                why = "age, horizon or profile moved on"
                await _tell_of_models(policies, node, AsOf(at - _BEFORE), AsOf(at), why)
                await _look_again(policies, node_id, at)
        return len(due)

    def _record(
        self,
        account_id: PolicyNodeId,
        preferences: Preferences,
        history: Sequence[PreferencesRecord],
        reason: str,
        by: str,
        now: datetime,
    ) -> PreferencesRecord:
        # Clocks of processes differ; a record never holds from before the last one.
        starts = max([now, *(each.effective_time for each in history)])
        return PreferencesRecord(account_id, len(history) + 1, preferences, by, reason, starts, self.clock.now())


async def _tell_of_models(policies: PolicyWriter, node: Node, before: AsOf, after: AsOf, why: str) -> None:
    """Tell of each account of a client that is led to another model or budget than before."""
    for account_id in await policies.accounts_below(node.node_id):
        now = (await resolver_inside(policies, [account_id], after)).standing(account_id)
        earlier = (await resolver_inside(policies, [account_id], before)).standing(account_id).outcome
        if now.outcome is None or now.outcome == earlier:
            continue
        (rule, *_) = now.merged.sources["profile_rule.models"]
        data: dict[str, JsonValue] = {
            "why": why,
            "from_model": None if earlier is None else earlier.model.model_node_id,
            "to_model": now.outcome.model.model_node_id,
            "from_risk_budget": None if earlier is None else plain(earlier.risk_budget),
            "to_risk_budget": plain(now.outcome.risk_budget),
            "decided_by": now.outcome.decided_by,
            "effective_time": after.valid_time,
        }
        account = node if node.node_id == account_id else await existing(policies, account_id)
        subjects = {**subjects_of(account), "policy_version": rule.version_id}
        await policies.emit(Event("policy.profile.led", subjects, data))


async def _in_force(policies: PolicyReader, account_id: PolicyNodeId, now: datetime) -> Resolver:
    found = await resolver_inside(policies, [account_id], AsOf(now))
    if not found.standing(account_id).merged.layers:
        raise PolicyNotInForce(f"no policy is in force for {account_id} at {now.isoformat()}", node_id=account_id)
    return found


async def _look_again(policies: PolicyWriter, node_id: PolicyNodeId, now: datetime) -> None:
    """Note when a node's profile is to be looked at after `now`: a later profile, or an anniversary of this one."""
    history = await policies.profile_history(node_id)
    instants = [each.effective_time for each in history if each.effective_time > now]
    holding = [each for each in history if each.effective_time <= now]
    if holding:
        instants.append(start_of(next_anniversary(holding[-1].profile, now.date())))
    await policies.look_at(node_id, min(instants))


async def _client_node(policies: PolicyReader, node_id: PolicyNodeId, *kinds: NodeKind) -> Node:
    node = await existing(policies, node_id)
    if node.kind not in kinds:
        raise ClientNodeKind(
            f"{node_id} must be a node of kind {' or '.join(kinds)}, is a {node.kind}",
            node_id=node_id,
            kind=node.kind.value,
        )
    return node


def _document(found: Resolver, record: PreferencesRecord) -> Document:
    """Return the account's rules, in plain words, with other preferences."""
    standing = found.standing(record.account_id)
    merged = standing.merged.below(preference_layer(record, standing))
    lacking = found.applied(record.account_id).plain.document.client.missing_consents
    return in_plain_words(merged, standing.at, standing.mix_of, lacking).document


def _in_order(wanted: datetime | None, last: datetime | None, now: datetime) -> datetime:
    """Return from when on a record holds.

    Raises:
        RecordOrder: That is before the last one, or before now although there is one.
    """
    if wanted is None:
        if last is not None and last > now:
            raise RecordOrder(f"a record takes effect at {last.isoformat()} already, name a later time")
        return now
    if last is not None and wanted < max(last, now):
        raise RecordOrder(
            f"a later record must take effect at {max(last, now).isoformat()} or later, not at {wanted.isoformat()}"
        )
    return wanted
