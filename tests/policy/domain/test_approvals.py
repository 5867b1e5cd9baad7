from decimal import Decimal

import pytest

from services.kernel.money import Money
from services.policy.domain.approvals import RULE_CHANGE_COUNT, Approval, missing, needs
from services.policy.domain.assets import Assets
from services.policy.domain.document import EMPTY, ApprovalRule, Document
from services.policy.domain.errors import ApprovedAlready, SelfApproval
from tests.policy.builders import NOON, approved, both, risk, submitted, targets

FIRM_WIDE = ApprovalRule(2, account_minimum=1_000, reason="the board says so")
RISK = ApprovalRule(1, role="risk_officer", fields=("risk",))


NO_ASSETS = Assets()
LARGE = ApprovalRule(2, asset_minimum=Money(Decimal(1_000_000), "USD"))


def by(name, *roles):
    return Approval(name, tuple(roles), "", NOON)


def count_missing(rules, after, accounts, *approvals, before=EMPTY, assets=NO_ASSETS):
    return len(missing(needs(rules, before, after, accounts, assets), approvals))


def test_without_a_rule_one_person_is_enough():
    assert count_missing((), targets(VTI="1"), 10**6) == 1
    assert count_missing((), targets(VTI="1"), 10**6, by("bob")) == 0


@pytest.mark.parametrize(("accounts", "left"), [(999, 0), (1_000, 1)])
def test_a_rule_asks_when_the_change_reaches_far_enough(accounts, left):
    assert count_missing([FIRM_WIDE], targets(VTI="1"), accounts, by("bob")) == left
    assert count_missing([FIRM_WIDE], targets(VTI="1"), accounts, by("bob"), by("cy")) == 0


@pytest.mark.parametrize(
    ("assets", "left"),
    [
        (Assets({"USD": Decimal("999999.99")}), 0),
        (Assets({"USD": Decimal(1_000_000)}), 1),
        # What nobody knows may be large.
        (Assets({"USD": Decimal(5)}, unknown_count=1), 1),
        (Assets({"USD": Decimal(5), "EUR": Decimal(5)}), 1),
        (Assets({"USD": Decimal(5), "EUR": Decimal(0)}), 0),
    ],
)
def test_a_rule_asks_when_the_change_concerns_so_much_or_may(assets, left):
    assert count_missing([LARGE], targets(VTI="1"), 3, by("bob"), assets=assets) == left


def test_a_change_that_reaches_nobody_concerns_nothing():
    assert count_missing([LARGE], targets(VTI="1"), 0, by("bob"), assets=Assets()) == 0


def test_a_need_says_what_the_change_concerns_and_as_of_when():
    known = Assets({"USD": Decimal(2_000_000)}, unknown_count=3, oldest_time=NOON)

    _, need = needs([LARGE], EMPTY, targets(VTI="1"), 9, known)

    assert need.description == (
        "a change that concerns assets of 1000000 USD or more, this one 2000000 USD and 3 accounts of unknown value as "
        "of 2026-03-03, needs 2 approvers"
    )


def test_a_rule_asks_only_about_its_fields_and_only_those_with_its_role_meet_it():
    assert count_missing([RISK], targets(VTI="1"), 1, by("bob")) == 0
    assert count_missing([RISK], risk(cash_floor="0.1"), 1, by("bob", "policy_approver")) == 1
    assert count_missing([RISK], risk(cash_floor="0.1"), 1, by("bob", "policy_approver", "risk_officer")) == 0
    # Clearing a field is a change of it, too; leaving it as it is is none.
    assert count_missing([RISK], EMPTY, 1, by("bob"), before=risk(cash_floor="0.1")) == 1
    same = both(risk(cash_floor="0.1"), targets(VTI="1"))
    assert count_missing([RISK], same, 1, by("bob"), before=risk(cash_floor="0.1")) == 0


def test_whoever_changes_the_rules_needs_two_even_without_a_rule():
    rules = Document(approvals=(FIRM_WIDE,))

    assert count_missing((), rules, 0, by("bob")) == 1
    assert count_missing((), EMPTY, 0, by("bob"), before=rules) == 1
    assert count_missing((), rules, 0, *(by(f"p{n}") for n in range(RULE_CHANGE_COUNT))) == 0


def test_one_person_counts_once_however_often_and_by_whatever_name_of_role():
    rule = ApprovalRule(2)

    assert count_missing([rule], risk(cash_floor="0.1"), 1, by("bob"), by("bob", "risk_officer")) == 1


def test_the_rule_that_asks_is_said_in_a_sentence():
    asked = needs([FIRM_WIDE, RISK], EMPTY, risk(cash_floor="0.1"), 1_500, NO_ASSETS)

    found = [need.description for need in asked]

    assert found == [
        "every change needs one approver",
        "a change that reaches 1000 accounts or more, this one 1500, needs 2 approvers (the board says so)",
        "a change of risk needs 1 with the role risk_officer",
    ]


def test_approvals_gather_until_the_last_and_an_edit_voids_them():
    change = submitted(document=risk(cash_floor="0.1"))
    how = {"comment": "yes", "at": NOON, "market_time": NOON, "first": True}
    once = change.supported("bob", change.version_id, **how)

    assert once.etag == change.etag
    with pytest.raises(ApprovedAlready):
        once.supported("bob", once.version_id, **how)
    with pytest.raises(SelfApproval):
        once.supported("ann", once.version_id, **how)
    done = approved(once, "cy")
    assert (done.approver, [each.approver for each in done.approvals]) == ("cy", ["bob", "cy"])
    edited = once.edited(
        "ann", document=risk(cash_floor="0.2"), reason="more", requested_time=None, rollout=None,
        base_version_id=None, market_time=NOON,
    )  # fmt: skip
    assert edited.approvals == ()
    assert Decimal("0.2") == edited.document.risk.cash_floor
