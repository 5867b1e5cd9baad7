"""Can the rules of approval be met, and do they speak of what there is?"""

from collections import Counter
from collections.abc import Collection, Iterator

from services.policy.domain.document import FIELDS, Document
from services.policy.domain.lint.finding import Finding, error, warning

_APPROVALS = "approvals"


def approval_findings(document: Document, approver_roles: Collection[str] | None) -> Iterator[Finding]:
    """Yield what is wrong or odd about the approval rules of `document`.

    Args:
        document: One node's.
        approver_roles: The roles whose holders may approve changes; None if that is not known here.
    """
    known = {each for field in FIELDS for each in (field.path, *_sections(field.path))}
    for rule in document.approvals:
        for named in rule.fields:
            if named not in known:
                yield error("APPROVAL_FIELD", (_APPROVALS,), f"{named[:80]!r} is neither a field nor a section")
        if rule.role is not None and approver_roles is not None and rule.role not in approver_roles:
            yield error(
                "APPROVAL_ROLE",
                (_APPROVALS,),
                f"nobody with the role {rule.role[:80]!r} may approve, so what the rule asks about could never be; the "
                f"roles that may are {', '.join(sorted(approver_roles))}",
            )
    for count in Counter(document.approvals).values():
        if count > 1:
            yield warning("APPROVAL_TWICE", (_APPROVALS,), f"the same rule is there {count} times")


def _sections(path: str) -> Iterator[str]:
    while (path := path.rpartition(".")[0]) != "":
        yield path
