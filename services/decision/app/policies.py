"""Reads the policies that accounts are decided by."""

from dataclasses import replace

from services.decision.app.ports.policy import PolicyClient
from services.decision.domain.deciding import AccountInputs
from services.decision.domain.plan import Failure
from services.kernel.errors import Invalid


def with_policy(inputs: AccountInputs, client: PolicyClient, document: bytes) -> AccountInputs:
    """Return `inputs` with the policy that `document` says; one that cannot be read refuses only the account."""
    try:
        return replace(inputs, policy=client.read(document))
    except Invalid as invalid:
        details = tuple(f"{each.field}: {each.description}" for each in invalid.violations)
        return replace(
            inputs, refused=Failure(invalid.reason, f"the policy cannot be read: {invalid.message}", details)
        )
