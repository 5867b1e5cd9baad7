"""What each role may do.

A permission is what an RPC's contract declares; a role is what a token says. Nobody holds everything: whoever writes a
policy does not approve it, whoever stops trading needs somebody else to resume it, and only the decision service
submits plans.
"""

from collections.abc import Iterable

_READ_BUSINESS = frozenset({"policy.read", "decision.read", "execution.read"})

# What is on record of clients.
_CLIENTS = frozenset({"policy.profile.read", "policy.profile.write", "policy.consent.write", "policy.preference.write"})

PERMISSIONS_BY_ROLE: dict[str, frozenset[str]] = {
    # People.
    "policy_author": frozenset(
        {
            "policy.read",
            "policy.change",
            "policy.stop",
            "decision.read",
            "decision.preview",
            "decision.tax.law.propose",
        }
    ),
    "policy_approver": frozenset(
        {
            "policy.read",
            "policy.approve",
            "policy.stop",
            "policy.stop.lift",
            "decision.read",
            "decision.preview",
            "decision.tax.law.review",
        }
    ),
    "platform_engineer": _READ_BUSINESS
    | {
        "policy.node.write",
        "policy.value.write",
        "decision.book.write",
        "decision.prices.write",
        "decision.run",
        "execution.prices.write",
        "execution.custodian.write",
        "execution.sandbox",
    },
    "advisor": _READ_BUSINESS | {"decision.plan.approve", "decision.preview"} | _CLIENTS,
    "trader": _READ_BUSINESS
    | {
        "execution.break.write",
        "execution.cross.undo.propose",
        "execution.fix.read",
        "execution.fix.reset.propose",
        "execution.halt",
        "policy.stop",
    },
    "risk_officer": _READ_BUSINESS
    | {
        "decision.preview",
        "execution.cross.undo.approve",
        "execution.fix.read",
        "execution.fix.reset.approve",
        "execution.halt",
        "execution.resume",
        "policy.approve",
        "policy.stop",
        "policy.stop.lift",
    },
    "compliance_officer": _READ_BUSINESS
    | {
        "audit.read",
        "audit.export",
        "audit.personal.read",
        "audit.records.read",
        "audit.records.propose",
        "decision.tax.law.review",
        "policy.approve",
        "policy.profile.read",
    },
    # Decides what a compliance officer proposes about the record: its retention, its holds, its destruction.
    "records_officer": frozenset({"audit.records.read", "audit.records.decide"}),
    # The clients' own screens: they say what clients say, and decide nothing.
    "client_portal": frozenset({"policy.read"}) | _CLIENTS,
    # Workloads: what each service asks of the others, and nothing more.
    "policy_service": frozenset({"audit.append"}),
    "decision_service": frozenset(
        {
            "policy.read",
            "policy.rollout.report",
            "policy.value.write",
            "execution.read",
            "execution.submit",
            "audit.append",
        }
    ),
    "execution_service": frozenset({"policy.read", "decision.read", "audit.append"}),
    "audit_service": frozenset(),
}


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Return everything that `roles` together may do; a role we do not know may do nothing."""
    return frozenset().union(*(PERMISSIONS_BY_ROLE.get(role, frozenset()) for role in roles))


def roles_with(permission: str) -> frozenset[str]:
    """Return the roles whose holders may do what needs `permission`."""
    return frozenset(role for role, held in PERMISSIONS_BY_ROLE.items() if permission in held)
