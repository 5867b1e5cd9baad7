"""How policy tells of what happened."""

from collections.abc import Sequence

from services.kernel.canonical import JsonValue
from services.kernel.events import Event
from services.policy.domain.assets import AccountValue
from services.policy.domain.changes import Change
from services.policy.domain.diff import differences
from services.policy.domain.document import EMPTY, FIELDS, Document
from services.policy.domain.history import Activation
from services.policy.domain.rollout import Reading, Rollout
from services.policy.domain.stops import Stop
from services.policy.domain.tree import Node, NodeKind

# An event has room for this many sentences; all differences follow from the two versions, which it names.
DIFFERENCES_TOLD_MAX = 100


def node_event(step: str, node: Node) -> Event:
    """Return the event that `step` happened to `node`: `created` or `deleted`."""
    data: dict[str, JsonValue] = {"kind": node.kind.value, "parent_id": node.parent_id, "name": node.display_name}
    return Event(f"policy.node.{step}", subjects_of(node), data)


def values_event(values: Sequence[AccountValue], recorded: int) -> Event:
    """Return the event that values of accounts were recorded; what they are stays here."""
    data: dict[str, JsonValue] = {
        "account_count": len(values),
        "recorded_count": recorded,
        "oldest_time": min(each.as_of_time for each in values),
        "newest_time": max(each.as_of_time for each in values),
    }
    return Event("policy.values.recorded", {}, data)


def change_event(step: str, change: Change, node: Node, comment: str = "", *, against: Document | None = None) -> Event:
    """Return the event that `step` happened to `change`: `created`, `edited`, `submitted`, `approved` and so on.

    It says what is different from `against`, when that is given.
    """
    data: dict[str, JsonValue] = {
        "author": change.author,
        "reason": change.reason,
        "version_hash": change.version_id,
        "base_version_hash": change.base_version_id,
        "fields": [field.path for field, _ in FIELDS.set_in(change.document)],
        "requested_time": change.requested_time,
        "effective_time": change.effective_time,
        "comment": comment,
    }
    if against is not None:
        found = differences(against, change.document)
        data["difference_count"] = len(found)
        data["differences"] = [difference.description for difference in found[:DIFFERENCES_TOLD_MAX]]
    subjects = {**subjects_of(node), "change": change.change_id, "policy_version": change.version_id}
    return Event(f"policy.change.{step}", subjects, data)


def version_event(step: str, activation: Activation, node: Node) -> Event:
    """Return the event that `step` happened to a version at its node: `activated` or `superseded`."""
    data: dict[str, JsonValue] = {"sequence": activation.sequence, "effective_time": activation.effective_time}
    subjects = {**subjects_of(node), "change": activation.change_id, "policy_version": activation.version_id}
    return Event(f"policy.version.{step}", subjects, data)


def stop_event(step: str, stop: Stop, node: Node) -> Event:
    """Return the event that `step` happened to a stop: `created` or `lifted`."""
    data: dict[str, JsonValue] = {
        "says": [difference.description for difference in differences(EMPTY, stop.document)],
        "reason": stop.lift_reason if stop.lifter else stop.reason,
        "effective_time": stop.lift_time if stop.lifter else stop.effective_time,
    }
    subjects = {**subjects_of(node), "change": stop.stop_id, "policy_version": stop.version_id}
    return Event(f"policy.stop.{step}", subjects, data)


def rollout_event(rollout: Rollout, node: Node, seen: Sequence[Reading]) -> Event:
    """Return the event that a rollout came to its present stage, and what its stop rules saw then."""
    step = rollout.steps[-1]
    data: dict[str, JsonValue] = {
        "taken_by": step.actor,
        "reason": step.reason,
        "effective_time": step.effective_time,
        "readings": [reading.description for reading in seen],
    }
    subjects = {**subjects_of(node), "change": rollout.change_id, "policy_version": rollout.version_id}
    return Event(f"policy.rollout.{step.stage}", subjects, data)


def subjects_of(node: Node) -> dict[str, str]:
    """Return whom an event about `node` concerns."""
    subjects: dict[str, str] = {"policy_node": node.node_id}
    if node.kind is NodeKind.ACCOUNT:
        subjects["account"] = node.node_id
    if node.kind is NodeKind.HOUSEHOLD:
        subjects["household"] = node.node_id
    return subjects
