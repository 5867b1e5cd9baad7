"""Can this document work?

Rules look at a document in one of two places. On its own: numbers in range, lists without contradiction, guardrails
that leave something. Merged with what it inherits: fields that only together can be wrong. A rule is silent about
fields that nobody set. Each finding names the fewest fields that conflict: with any one changed, it could be gone.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from services.kernel.errors import Violations
from services.policy.domain.document import Document, Restrictions
from services.policy.domain.errors import PolicyContradiction
from services.policy.domain.guardrails import Bounds
from services.policy.domain.lint.finding import Finding, Severity
from services.policy.domain.lint.merged import MERGED_RULES
from services.policy.domain.lint.own import guardrail_findings, guardrails_leave_something, own_findings

__all__ = ["Finding", "Severity", "guardrail_findings", "lint_merged", "lint_own", "raise_errors"]


def lint_own(document: Document, bounds: Bounds) -> tuple[Finding, ...]:
    """Return what is wrong with one node's document by itself, errors first.

    Args:
        document: As its author wrote it.
        bounds: The guardrails of the node's ancestors, which the document's own can only narrow.
    """
    return _errors_first([*own_findings(document), *guardrails_leave_something(document.guardrails, bounds)])


def lint_merged(document: Document, at: datetime) -> tuple[Finding, ...]:
    """Return what is wrong with merged rules, errors first.

    Args:
        document: The effective rules of a node, each field in range.
        at: The instant for which they are judged; restrictions that expired before do not count.
    """
    holding = tuple(restriction for restriction in document.restrictions.items if restriction.holds(at))
    judged = replace(document, restrictions=Restrictions(holding))
    return _errors_first(finding for rule in MERGED_RULES for finding in rule(judged))


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
