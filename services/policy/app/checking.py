"""May this document stand at this node?

The same questions are asked of a draft, of a change that is submitted and of one that is approved, because what is
above and below may have changed in between: is it sound by itself, do the guardrails above permit it, can it work
together with what it inherits, and can it and everything below still work on every later day?
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.app.ports import PolicyReader
from services.policy.domain.content import version_id
from services.policy.domain.document import Document
from services.policy.domain.errors import NodeNotFound
from services.policy.domain.guardrails import check_guardrails
from services.policy.domain.history import AsOf
from services.policy.domain.lint import Finding, Severity, guardrail_findings, lint_merged, lint_own, raise_errors
from services.policy.domain.merge import Effective, Layer, effective
from services.policy.domain.tree import Node, Tree

Outlook: TypeAlias = dict[tuple[datetime, PolicyNodeId], tuple[Finding, ...]]
"""What lint finds, by instant and node."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and what it inherits at an instant."""

    node: Node
    above: Effective
    at: datetime

    def with_document(self, document: Document) -> Effective:
        """Return what would apply to the node with `document` as its version."""
        return self.above.below(self.layer(document))

    def layer(self, document: Document) -> Layer:
        """Return `document` as if it were in force at the node."""
        name = version_id(self.node.node_id, document)
        return Layer(self.node.node_id, name, document, ChangeId(""), "", "", "", self.at, self.at)

    def findings(self, document: Document) -> tuple[Finding, ...]:
        """Return what is wrong or odd about `document` here, errors first; each field's value alone, then together."""
        own = (*lint_own(document, self.above.bounds), *guardrail_findings(document, self.above.bounds))
        if any(finding.severity is Severity.ERROR for finding in own):
            return own
        return (*own, *lint_merged(self.with_document(document).document, self.at))

    def check(self, document: Document) -> tuple[Finding, ...]:
        """Return what is odd about `document`.

        Raises:
            PolicyContradiction: It cannot work, by itself or with what it inherits.
            GuardrailExceeded: A guardrail above forbids a value.
        """
        own = lint_own(document, self.above.bounds)
        raise_errors(own)
        check_guardrails(document, self.above.bounds)
        together = lint_merged(self.with_document(document).document, self.at)
        raise_errors(together)
        return (*own, *together)


async def place_of(policies: PolicyReader, node_id: PolicyNodeId, at: datetime) -> Place:
    """Return the node and what it inherits at the business instant `at`.

    Raises:
        NodeNotFound: It does not exist.
    """
    tree = Tree.of(await policies.ancestry([node_id]))
    chain = tree.chain(node_id)
    layers = await policies.layers([node.node_id for node in chain[:-1]], AsOf(at))
    return Place(chain[-1], effective(_in_order(chain[:-1], layers)), at)


async def check_from_then_on(policies: PolicyReader, place: Place, document: Document) -> None:
    """Refuse a document with which this node, or something below it, could not work some day.

    It is judged for the instant from which it would hold, and for every later one at which a version above or below it
    takes effect.

    Raises:
        PolicyContradiction: Names the first node whose rules would contradict themselves, and when.
    """
    before = await outlook(policies, place.node.node_id, place.at)
    refuse_worse(before, await outlook(policies, place.node.node_id, place.at, place.layer(document)))


async def outlook(
    policies: PolicyReader, node_id: PolicyNodeId, start: datetime, version: Layer | None = None
) -> Outlook:
    """Return what is wrong with a node and everything below it, at `start` and whenever something takes effect later.

    Args:
        policies: What is approved so far.
        node_id: The node.
        start: The first business instant to look at.
        version: In place of the node's own version; None for what is approved.
    """
    found: Outlook = {}
    governed = await policies.governed(node_id)
    tree = Tree.of(await policies.ancestry([node_id, *governed]))
    for at in (start, *await policies.scheduled_times(governed, start)):
        layers = await policies.layers(governed, AsOf(at))
        if version is not None:
            layers[node_id] = version
        for node in tree.below(node_id):
            if node.node_id in layers or node.node_id == node_id:
                merged = effective(_in_order(tree.chain(node.node_id), layers))
                found[at, node.node_id] = lint_merged(merged.document, at)
    return found


def refuse_worse(before: Outlook, after: Outlook) -> None:
    """Refuse a step after which something is wrong that was not wrong before it.

    Raises:
        PolicyContradiction: Names the first node whose rules would contradict themselves, and when.
    """
    for (at, node_id), findings in after.items():
        known = before.get((at, node_id), ())
        raise_errors(
            (finding for finding in findings if finding not in known),
            where=f"with this, {node_id} could not work from {at.isoformat()} on: ",
        )


async def existing(policies: PolicyReader, node_id: PolicyNodeId) -> Node:
    """Return the node.

    Raises:
        NodeNotFound: It does not exist.
    """
    node = await policies.node(node_id)
    if node is None:
        raise NodeNotFound(f"policy node {node_id} does not exist", node_id=node_id)
    return node


def _in_order(chain: tuple[Node, ...], layers: Mapping[PolicyNodeId, Layer]) -> list[Layer]:
    return [layers[node.node_id] for node in chain if node.node_id in layers]
