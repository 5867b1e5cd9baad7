"""Roles are kept apart, and fit the contracts."""

from itertools import chain

import pytest

from evenkeel.audit.v1 import audit_service_pb2
from evenkeel.common.v1 import permission_pb2
from evenkeel.decision.v1 import book_service_pb2, plan_service_pb2, price_service_pb2, run_service_pb2
from evenkeel.execution.v1 import execution_service_pb2, fix_service_pb2, sandbox_service_pb2
from evenkeel.policy.v1 import policy_service_pb2
from services.runtime.auth.roles import PERMISSIONS_BY_ROLE, permissions_of

CONTRACTS = [
    audit_service_pb2,
    book_service_pb2,
    execution_service_pb2,
    plan_service_pb2,
    policy_service_pb2,
    price_service_pb2,
    run_service_pb2,
    fix_service_pb2,
    sandbox_service_pb2,
]


def declared():
    return {
        method.GetOptions().Extensions[permission_pb2.permission]
        for contract in CONTRACTS
        for service in contract.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_every_permission_of_the_contracts_is_held_by_some_role():
    assert declared() <= set(chain(*PERMISSIONS_BY_ROLE.values()))


@pytest.mark.parametrize(
    "apart",
    [
        {"policy.change", "policy.approve"},
        # Who says what a client wishes does not say how far wishes go.
        {"policy.preference.write", "policy.change"},
        {"policy.preference.write", "policy.approve"},
        {"execution.submit", "decision.plan.approve"},
        {"execution.submit", "decision.run"},
        {"audit.append", "audit.read"},
    ],
)
def test_no_role_holds_both(apart):
    assert not [role for role, held in PERMISSIONS_BY_ROLE.items() if apart <= held]


@pytest.mark.parametrize(
    ("permission", "roles"),
    [
        ("execution.submit", {"decision_service"}),
        ("audit.append", {"policy_service", "decision_service", "execution_service"}),
        ("execution.resume", {"risk_officer"}),
        ("execution.cross.undo.approve", {"risk_officer"}),
        # Rules of the tree may ask for the approval of a role; nobody approves what they wrote.
        ("policy.approve", {"policy_approver", "risk_officer", "compliance_officer"}),
        ("policy.profile.write", {"advisor", "client_portal"}),
        ("policy.consent.write", {"advisor", "client_portal"}),
        ("policy.preference.write", {"advisor", "client_portal"}),
    ],
)
def test_only_these_roles_hold_it(permission, roles):
    assert {role for role, held in PERMISSIONS_BY_ROLE.items() if permission in held} == roles


def test_nobody_holds_everything():
    assert not [role for role, held in PERMISSIONS_BY_ROLE.items() if held >= declared()]


def test_roles_add_up_and_unknown_ones_give_nothing():
    assert permissions_of(["trader", "risk_officer"]) >= {"execution.halt", "execution.resume"}
    assert permissions_of(["root"]) == permissions_of([]) == frozenset()
