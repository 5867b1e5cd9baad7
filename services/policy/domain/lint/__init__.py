"""Can this document work?

Rules look at a document in one of two places. On its own: numbers in range, lists without contradiction, guardrails
that leave something. Merged with what it inherits: fields that only together can be wrong. A rule is silent about
fields that nobody set. Each finding names the fewest fields that conflict: with any one changed, it could be gone.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from services.kernel.errors import Violations
from services.kernel.ids import PolicyNodeId
from services.policy.domain.document import EMPTY, FIELDS, Document, Restrictions
from services.policy.domain.errors import PolicyContradiction
from services.policy.domain.guardrails import Bounds
from services.policy.domain.lint.approvals import approval_findings
from services.policy.domain.lint.conflict import irreducible
from services.policy.domain.lint.finding import Finding, Severity, error
from services.policy.domain.lint.merged import MERGED_RULES
from services.policy.domain.lint.own import guardrail_findings, guardrails_leave_something, own_findings
from services.policy.domain.merge import Effective
from services.policy.domain.mixes import Targets, TargetWeight
from services.policy.domain.plain import MixOf, NoMix, expanded, worked_out

__all__ = ["Finding", "Severity", "guardrail_findings", "lint_merged", "lint_own", "raise_errors"]


_ONE = Decimal(1)

Rule: TypeAlias = Callable[[Document], Iterator[Finding]]


def no_models(_: PolicyNodeId) -> Effective | None:
    """Return that no node can be referred to."""
    return None


def lint_own(
    document: Document, bounds: Bounds, merged: Document = EMPTY, approver_roles: Collection[str] | None = None
) -> tuple[Finding, ...]:
    """Return what is wrong with one node's document by itself, errors first.

    Args:
        document: As its author wrote it.
        bounds: The guardrails of the node's ancestors, which the document's own can only narrow.
        merged: What would apply to the node, from which the steps of its guardrails are measured.
        approver_roles: The roles whose holders may approve changes; None if that is not known here.
    """
    approvals = approval_findings(document, approver_roles)
    room = guardrails_leave_something(document.guardrails, bounds, merged)
    return _errors_first([*own_findings(document), *approvals, *room])


def lint_merged(document: Document, at: datetime, mix_of: MixOf = no_models) -> tuple[Finding, ...]:
    """Return what is wrong with merged rules, errors first.

    Args:
        document: The effective rules of a node, each field in range.
        at: The instant for which they are judged; restrictions that expired before do not count.
        mix_of: Says what applies to the nodes that targets refer to.
    """
    holding = tuple(restriction for restriction in document.restrictions.items if restriction.holds(at))
    judged = replace(document, restrictions=Restrictions(holding))
    lists = tuple(each for each in judged.eligibility.buy_lists if each.holds(at))
    judged = replace(judged, eligibility=replace(judged.eligibility, buy_lists=lists))
    findings = list(_models_have_mixes(judged, mix_of))
    try:
        judged, _ = worked_out(judged, at, mix_of)
    except NoMix as problem:
        findings.append(error(problem.rule, problem.fields, str(problem)))
        judged = replace(judged, targets=Targets())
    findings += (_narrowed(finding, rule, judged) for rule in MERGED_RULES for finding in rule(judged))
    return _errors_first(findings)


def conflicts(rule: Rule, name: str, document: Document) -> Callable[[Collection[str]], bool]:
    """Return what says whether some fields of `document` alone make `rule` find the error `name`."""
    values = FIELDS.values(document)

    def conflict(paths: Collection[str]) -> bool:
        said = FIELDS.document({path: values[path] for path in paths})
        return any(found.rule == name and found.severity is Severity.ERROR for found in rule(said))

    return conflict


def _narrowed(finding: Finding, rule: Rule, document: Document) -> Finding:
    """Return an error with an irreducible set of fields; fields that are named because they are missing stay."""
    if finding.severity is not Severity.ERROR:
        return finding
    values = FIELDS.values(document)
    conflict = conflicts(rule, finding.rule, document)
    named = [path for path in finding.fields if path in values]
    fields = irreducible(named if conflict(named) else list(values), conflict)
    return replace(finding, fields=(*fields, *(path for path in finding.fields if path not in values)))


def _models_have_mixes(document: Document, mix_of: MixOf) -> Iterator[Finding]:
    for row in document.profile_rule.models:
        try:
            expanded((TargetWeight(_ONE, model_node_id=row.model_node_id),), mix_of)
        except NoMix as problem:
            yield error(problem.rule, ("profile_rule.models",), str(problem))


def raise_errors(findings: Iterable[Finding], where: str = "") -> None:
    """Refuse a document that has errors.

    Args:
        findings: What lint found.
        where: Put before each description, for instance the node concerned.

    Raises:
        PolicyContradiction: With a violation for each field of each error.
    """
    violations = Violations()
    for finding in findings:
        if finding.severity is Severity.ERROR:
            for path in finding.fields:
                violations.add(f"document.{path}", f"{where}{finding.description} [{finding.rule}]")
    violations.raise_if_any(PolicyContradiction)


def _errors_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda f: (f.severity is not Severity.ERROR, f.rule, f.fields)))
