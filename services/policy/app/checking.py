"""May this document stand at this node?

The same questions are asked of a draft, of a change that is submitted and of one that is approved, because what is
above and below may have changed in between: is it sound by itself, do the guardrails above permit it, can it work
together with what it inherits, and can it and everything below still work on every later day?
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import TypeAlias

from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.app.loading import add_models, models_of
from services.policy.app.ports import PolicyReader
from services.policy.domain.changes import Change
from services.policy.domain.content import version_id
from services.policy.domain.document import EMPTY, Document
from services.policy.domain.errors import ChangeNotFound, NodeNotFound, RolloutsExceedLimit
from services.policy.domain.guardrails import check_guardrails
from services.policy.domain.history import AsOf
from services.policy.domain.lint import Finding, Severity, guardrail_findings, lint_merged, lint_own, raise_errors
from services.policy.domain.merge import Effective, Layer, effective
from services.policy.domain.resolve import Lineage, Resolver
from services.policy.domain.tree import Node, Tree

# Rollouts that a change is judged with.
OPEN_ROLLOUTS_MAX = 1_000
# Those of them that can reach one node: every choice of them is judged, 64 of 6.
ROLLOUTS_TOGETHER_MAX = 6

Outlook: TypeAlias = dict[tuple[datetime, PolicyNodeId, str], tuple[Finding, ...]]
"""What lint finds, by instant, node, and what is being rolled out to it in words."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and what it inherits at an instant.

    Attributes:
        parents: The paths of the node and of the models that it can refer to.
        layers: The versions in force on them, by node.
        approver_roles: The roles whose holders may approve changes; None if that is not to be judged.
    """

    node: Node
    above: Effective
    at: datetime
    parents: Mapping[PolicyNodeId, PolicyNodeId | None] = field(default_factory=dict)
    layers: Mapping[PolicyNodeId, Layer] = field(default_factory=dict)
    approver_roles: frozenset[str] | None = None

    def with_document(self, document: Document) -> Effective:
        """Return what would apply to the node with `document` as its version."""
        return self.above.below(self.layer(document))

    def layer(self, document: Document) -> Layer:
        """Return `document` as if it were in force at the node."""
        name = version_id(self.node.node_id, document)
        return Layer(self.node.node_id, name, document, ChangeId(""), "", "", "", self.at, self.at)

    def findings(self, document: Document) -> tuple[Finding, ...]:
        """Return what is wrong or odd about `document` here, errors first; each field's value alone, then together."""
        own = (*self._own(document), *guardrail_findings(document, self.above.bounds))
        if any(finding.severity is Severity.ERROR for finding in own):
            return own
        return (*own, *self._together(document))

    def check(self, document: Document) -> tuple[Finding, ...]:
        """Return what is odd about `document`.

        Raises:
            PolicyContradiction: It cannot work, by itself or with what it inherits.
            GuardrailExceeded: A guardrail above forbids a value.
        """
        own = self._own(document)
        raise_errors(own)
        check_guardrails(document, self.above.bounds)
        together = self._together(document)
        raise_errors(together)
        return (*own, *together)

    def _own(self, document: Document) -> tuple[Finding, ...]:
        return lint_own(document, self.above.bounds, self.with_document(document).document, self.approver_roles)

    def _together(self, document: Document) -> tuple[Finding, ...]:
        with_it = {**self.layers, self.node.node_id: self.layer(document)}
        models = Resolver(Lineage(self.parents, ()), with_it, self.at)
        return lint_merged(self.with_document(document).document, self.at, models.mix_of)


async def place_of(policies: PolicyReader, node_id: PolicyNodeId, at: datetime, document: Document = EMPTY) -> Place:
    """Return the node, what it inherits at the business instant `at`, and what its `document` would refer to.

    Raises:
        NodeNotFound: It does not exist.
    """
    tree = Tree.of(await policies.ancestry([node_id]))
    chain = tree.chain(node_id)
    layers = await policies.layers([node.node_id for node in chain[:-1]], AsOf(at))
    above = effective(_in_order(chain[:-1], layers))
    parents = {node.node_id: node.parent_id for node in chain}
    documents = [document, *(layer.document for layer in layers.values())]
    await add_models(policies, parents, layers, documents, AsOf(at))
    return Place(chain[-1], above, at, parents, layers)


async def check_from_then_on(policies: PolicyReader, place: Place, document: Document) -> None:
    """Refuse a document with which this node, or something below it, could not work some day.

    It is judged for the instant from which it would hold, and for every later one at which a version above or below it
    takes effect; and so with what is being rolled out, which some accounts have already and others may have tomorrow.

    Raises:
        PolicyContradiction: Names the first node whose rules would contradict themselves, and when.
    """
    before = await outlook(policies, place.node.node_id, place.at)
    refuse_worse(before, await outlook(policies, place.node.node_id, place.at, place.layer(document)))


async def outlook(
    policies: PolicyReader, node_id: PolicyNodeId, start: datetime, version: Layer | None = None
) -> Outlook:
    """Return what is wrong with a node and all that depends on it, at `start` and whenever something changes later.

    What is below it depends on a node, and so does what refers to the mix of a model that is the node or below it.
    Where others are being rolled out, a node is judged with every choice of those that can reach it: which accounts
    have one says nothing about which have another.

    Args:
        policies: What is approved so far.
        node_id: The node.
        start: The first business instant to look at.
        version: In place of the node's own version; None for what is approved.

    Raises:
        RolloutsExceedLimit: More rollouts can reach one node than can be judged in every choice.
    """
    found: Outlook = {}
    roots = await _dependent(policies, node_id)
    governed = sorted({each for root in roots for each in await policies.governed(root)})
    candidates = await _candidates(policies, start, without=node_id)
    tree = Tree.of(await policies.ancestry([*roots, *governed, *candidates]))
    concerned = {node.node_id for root in roots for node in tree.below(root)}
    for at in (start, *await policies.scheduled_times(governed, start)):
        approved = await policies.layers(tree.nodes.keys(), AsOf(at))
        if version is not None:
            approved[node_id] = version
        parents = {each: tree.node(each).parent_id for each in tree.nodes}
        said = [layer.document for layer in (*approved.values(), *candidates.values())]
        await add_models(policies, parents, approved, said, AsOf(at))
        judged = sorted(each for each in concerned if each in approved or each in candidates or each in roots)
        reach = {each: _reaching(each, parents, approved, candidates) for each in judged}
        for chosen in _choices(reach):
            layers = {**approved, **{each: candidates[each] for each in chosen}}
            merging = Resolver(Lineage(parents, ()), layers, at)
            words = _in_words([candidates[each] for each in chosen])
            for each in judged:
                if chosen <= reach[each] and (each in layers or each in roots):
                    found[at, each, words] = lint_merged(merging.effective(each).document, at, merging.mix_of)
    return found


async def _candidates(policies: PolicyReader, at: datetime, *, without: PolicyNodeId) -> Mapping[PolicyNodeId, Layer]:
    """Return the versions that are being rolled out to part of the accounts, by node, as if their nodes had them."""
    found: dict[PolicyNodeId, Layer] = {}
    for each in await policies.rollouts(node_id=None, open_only=True, before=None, limit=OPEN_ROLLOUTS_MAX):
        change = await policies.change(each.rollout.change_id)
        if change is not None and change.node_id != without:
            found[change.node_id] = Layer(
                change.node_id, change.version_id, change.document, change.change_id, "", "", "", at, at
            )
    return found


def _reaching(
    node_id: PolicyNodeId,
    parents: Mapping[PolicyNodeId, PolicyNodeId | None],
    approved: Mapping[PolicyNodeId, Layer],
    candidates: Mapping[PolicyNodeId, Layer],
) -> frozenset[PolicyNodeId]:
    """Return the nodes whose candidates what applies to `node_id` can depend on: above it, and above its models."""
    seen: dict[PolicyNodeId, None] = dict.fromkeys(_path(node_id, parents))
    waiting = list(seen)
    for each in waiting:  # It grows on the way.
        said = [layer.document for layer in (approved.get(each), candidates.get(each)) if layer is not None]
        for model in models_of(said) & parents.keys():
            new = [above for above in _path(model, parents) if above not in seen]
            seen |= dict.fromkeys(new)
            waiting += new
    found = frozenset(seen.keys() & candidates.keys())
    if len(found) > ROLLOUTS_TOGETHER_MAX:
        raise RolloutsExceedLimit(
            f"{len(found)} open rollouts can reach {node_id}, and at most {ROLLOUTS_TOGETHER_MAX} can be judged "
            f"together; finish or take back some of those of {', '.join(sorted(found))}",
            node_id=node_id,
            limit=ROLLOUTS_TOGETHER_MAX,
        )
    return found


def _choices(reach: Mapping[PolicyNodeId, frozenset[PolicyNodeId]]) -> list[frozenset[PolicyNodeId]]:
    """Return every choice of candidates that some node can have together, the smallest first."""
    found = {
        frozenset(chosen)
        for together in set(reach.values())
        for count in range(len(together) + 1)
        for chosen in combinations(sorted(together), count)
    }
    return sorted(found, key=lambda each: (len(each), sorted(each)))


def _in_words(chosen: Sequence[Layer]) -> str:
    names = sorted(layer.change_id for layer in chosen)
    if not names:
        return ""
    said = f"change {names[0]}" if len(names) == 1 else f"changes {', '.join(names[:-1])} and {names[-1]}"
    return f" and {said}, being rolled out"


async def _dependent(policies: PolicyReader, node_id: PolicyNodeId) -> list[PolicyNodeId]:
    """Return the node, and those whose own targets refer to it or to something below it, directly or not."""
    references = await policies.model_references()
    parents = (await policies.lineage({model for _, model in references})).parents if references else {}
    roots = [node_id]
    for root in roots:  # It grows on the way.
        for referring, model in references:
            if referring not in roots and root in _path(model, parents):
                roots.append(referring)
    return roots


def _path(node_id: PolicyNodeId, parents: Mapping[PolicyNodeId, PolicyNodeId | None]) -> Iterator[PolicyNodeId]:
    current: PolicyNodeId | None = node_id
    while current is not None:
        yield current
        current = parents.get(current)


def refuse_worse(before: Outlook, after: Outlook) -> None:
    """Refuse a step after which something is wrong that was not wrong before it.

    Raises:
        PolicyContradiction: Names the first node whose rules would contradict themselves, and when.
    """
    for (at, node_id, words), findings in after.items():
        known = before.get((at, node_id, words), ())
        raise_errors(
            (finding for finding in findings if finding not in known),
            where=f"with this{words}, {node_id} could not work from {at.isoformat()} on: ",
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


async def existing_change(policies: PolicyReader, change_id: ChangeId) -> Change:
    """Return a change.

    Raises:
        ChangeNotFound: It does not exist.
    """
    change = await policies.change(change_id)
    if change is None:
        raise ChangeNotFound(f"policy change {change_id} does not exist", change_id=change_id)
    return change


def _in_order(chain: tuple[Node, ...], layers: Mapping[PolicyNodeId, Layer]) -> list[Layer]:
    return [layers[node.node_id] for node in chain if node.node_id in layers]
