"""Trees, documents and changes for tests, said shortly."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from services.kernel.ids import ChangeId, InstrumentId, PolicyNodeId
from services.policy.app.stopping import PAUSE
from services.policy.domain.changes import Change, drafted
from services.policy.domain.content import version_id
from services.policy.domain.document import (
    EMPTY,
    FIELDS,
    Bands,
    Document,
    Guardrail,
    Restriction,
    RestrictionKind,
    Restrictions,
)
from services.policy.domain.merge import Layer
from services.policy.domain.mixes import Distance, TargetGroup, Targets, TargetWeight
from services.policy.domain.risk_limits import RiskLimits
from services.policy.domain.rollout import Cohort, Comparison, Metric, RolloutPlan, StopRule
from services.policy.domain.stops import stopped
from services.policy.domain.tree import Node, NodeKind

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def a_node(node_id, kind=NodeKind.MODEL, under="firm"):
    parent = None if kind is NodeKind.FIRM else PolicyNodeId(under)
    return Node(PolicyNodeId(node_id), kind, parent, node_id.title(), NOON)


def a_firm(node_id="firm"):
    return a_node(node_id, NodeKind.FIRM)


def targets(cash=None, **weights):
    """Return a document that sets target weights: `targets(cash="0.1", VTI="0.9")`."""
    lines = tuple(TargetWeight(Decimal(w), InstrumentId(name)) for name, w in weights.items())
    return Document(targets=Targets(lines, None if cash is None else Decimal(cash)))


def a_group(name, weight, **members):
    lines = tuple(TargetWeight(Decimal(w), InstrumentId(each)) for each, w in members.items())
    return TargetWeight(Decimal(weight), group=TargetGroup(name, lines))


def bands(trigger=None, destination=None, *, relative_trigger=None, relative_destination=None):
    return Document(
        bands=Bands(
            trigger=Distance(_decimal(trigger), _decimal(relative_trigger)),
            destination=Distance(_decimal(destination), _decimal(relative_destination)),
        )
    )


def risk(**limits):
    return Document(risk=RiskLimits(**{name: Decimal(value) for name, value in limits.items()}))


def guarded(field, minimum=None, maximum=None, allowed=(), *, locked=False, document=EMPTY):
    guardrail = Guardrail(field, _decimal(minimum), _decimal(maximum), tuple(allowed), locked, "the board says so")
    return both(document, Document(guardrails=(guardrail,)))


def restricted(instrument, kind=RestrictionKind.EXCLUDED, until=None):
    return Document(restrictions=Restrictions((Restriction(InstrumentId(instrument), kind, "a reason", until),)))


def both(*documents):
    """Return the document that sets what any of `documents` sets; the last one wins."""
    values = {}
    for document in documents:
        values |= FIELDS.values(document)
    return FIELDS.document(values)


def a_layer(node_id, document, author="ann", approver="bob"):
    name = version_id(PolicyNodeId(node_id), document)
    return Layer(
        PolicyNodeId(node_id), name, document, ChangeId(f"change-{node_id}"), author, approver, "because", NOON, NOON
    )


def a_change(
    document=EMPTY, *, node_id="firm", author="ann", base=None, requested_time=None, change_id="change-1", rollout=None
):
    return drafted(
        ChangeId(change_id),
        PolicyNodeId(node_id),
        document,
        base_version_id=base,
        reason="because",
        requested_time=requested_time,
        author=author,
        at=NOON,
        rollout=rollout,
    )


def approved(change, by="bob", *, read=None, comment="yes", at=NOON, market_time=NOON, first=False):
    """Return `change` as approved by one person, whom it needs."""
    read = read or change.version_id
    return change.supported(by, read, comment=comment, at=at, market_time=market_time, first=first).approved(
        market_time
    )


def submitted(**parts) -> Change:
    change = a_change(**parts)
    return change.submitted(change.author, NOON, 0)


def a_stop(node_id="firm", *, stop_id="stop-1", document=PAUSE, at=NOON):
    return stopped(ChangeId(stop_id), PolicyNodeId(node_id), document, reason="odd", actor="ann", at=at, market_time=at)


def a_plan(share=2_500, *, bound="5", window=1, metric=Metric.TAX, cohort=()):
    rules = (StopRule(metric, Decimal(bound), window),)
    if cohort:
        return RolloutPlan(rules, cohort=Cohort("friends", tuple(map(PolicyNodeId, cohort))))
    return RolloutPlan(rules, share_bps=share)


def a_comparison(account_id, *, run="run-1", tax="0", failed=False):
    zero = Decimal(0)
    return Comparison(run, PolicyNodeId(account_id), Decimal(tax), zero, zero, zero, failed)


def _decimal(text):
    return None if text is None else Decimal(text)
