from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.kernel.errors import Fact
from services.policy.domain.changes import Decided, State
from services.policy.domain.errors import (
    ApprovalStale,
    ChangeState,
    NotTheAuthor,
    SelfApproval,
    VersionConflict,
)
from tests.policy.builders import DAY, NOON, a_change, bands, submitted
from tests.policy.builders import approved as approved_by
from tests.policy.strategies import documents

ANY_DOCUMENT = bands(trigger="0.05")


def approve(change, by="bob", read=None, market_time=NOON, first=False):
    return approved_by(change, by, read=read, market_time=market_time, first=first)


def edit(change, document, by="ann", requested_time=None):
    return change.edited(
        by,
        document=document,
        reason="better",
        requested_time=requested_time,
        rollout=None,
        base_version_id=None,
        market_time=NOON,
    )


def test_a_change_goes_from_draft_to_active_and_is_superseded():
    draft = a_change(requested_time=NOON + DAY)
    approved = approve(draft.submitted("ann", NOON, 0))

    assert draft.state(NOON) is State.DRAFT
    assert draft.submitted("ann", NOON, 0).state(NOON) is State.SUBMITTED
    assert approved.state(NOON) is State.SCHEDULED
    assert approved.state(NOON + DAY - timedelta(microseconds=1)) is State.SCHEDULED
    assert approved.state(NOON + DAY) is State.ACTIVE


def test_a_change_without_a_time_holds_from_its_approval_on():
    approved = approve(submitted())

    assert approved.effective_time == NOON
    assert approved.state(NOON) is State.ACTIVE


def test_nobody_decides_about_what_they_wrote():
    with pytest.raises(SelfApproval):
        approve(submitted(author="ann"), by="ann")
    with pytest.raises(SelfApproval):
        submitted(author="ann").rejected("ann", comment="no", at=NOON, market_time=NOON)


def test_no_change_can_be_built_whose_approver_wrote_it():
    approved = approve(submitted(author="ann"))

    with pytest.raises(SelfApproval):
        type(approved)(**{name: getattr(approved, name) for name in approved.__slots__} | {"approver": "ann"})


def test_only_the_author_edits_submits_and_withdraws():
    with pytest.raises(NotTheAuthor):
        edit(a_change(), ANY_DOCUMENT, by="bob")
    with pytest.raises(NotTheAuthor):
        a_change().submitted("bob", NOON, 0)
    with pytest.raises(NotTheAuthor):
        a_change().withdrawn("bob", NOON)


def test_an_edit_makes_a_submitted_change_a_draft_and_voids_what_was_read():
    read = submitted()
    edited = edit(read, ANY_DOCUMENT)

    assert edited.state(NOON) is State.DRAFT
    with pytest.raises(ChangeState):
        approve(edited)
    with pytest.raises(ApprovalStale):
        approve(edited.submitted("ann", NOON, 0), read=read.version_id)
    assert approve(edited.submitted("ann", NOON, 0)).document == ANY_DOCUMENT


def test_a_change_is_approved_once():
    with pytest.raises(ChangeState):
        approve(approve(submitted()), by="cy")


def test_history_is_not_rewritten():
    late = submitted(requested_time=NOON)

    assert approve(late, market_time=NOON).state(NOON) is State.ACTIVE
    with pytest.raises(ChangeState, match="history is not rewritten"):
        approve(late, market_time=NOON + timedelta(microseconds=1))


def test_the_first_version_of_a_node_may_hold_since_before_its_approval():
    first = approve(submitted(requested_time=NOON - DAY), first=True)

    assert (first.effective_time, first.state(NOON)) == (NOON - DAY, State.ACTIVE)


def test_a_scheduled_change_can_be_withdrawn_and_an_active_one_cannot():
    scheduled = approve(submitted(requested_time=NOON + DAY))

    assert scheduled.withdrawn("ann", NOON).state(NOON + 2 * DAY) is State.WITHDRAWN
    with pytest.raises(ChangeState):
        scheduled.withdrawn("ann", NOON + DAY)


def test_a_change_written_for_another_version_of_the_node_names_both():
    change = a_change(base="sha256:old")

    change.check_base("sha256:old")
    with pytest.raises(VersionConflict, match=r"sha256:old.*sha256:new"):
        change.check_base("sha256:new")


def test_an_etag_conflict_names_both_versions():
    change = submitted()

    change.check_etag("change-1.2")
    with pytest.raises(VersionConflict, match=r"change-1\.2.*change-1\.1"):
        change.check_etag("change-1.1")


@given(documents(), documents())
def test_an_approval_is_for_one_content(read, written):
    change = submitted(document=written)
    named = submitted(document=read).version_id

    if read == written:
        assert approve(change, read=named).version_id == named
    else:
        with pytest.raises(ApprovalStale):
            approve(change, read=named)


class ChangeMachine(RuleBasedStateMachine):
    """Anybody tries anything, in any order."""

    people = st.sampled_from(["ann", "bob", "cy"])

    def __init__(self):
        super().__init__()
        self.change = a_change(author="ann")
        self.read = {}
        self.approved_content = None

    def attempt(self, step):
        try:
            changed = step()
        except Fact:
            return
        assert changed.revision == self.change.revision + 1
        self.change = changed

    @rule(who=people, document=documents())
    def edits(self, who, document):
        self.attempt(lambda: edit(self.change, document, by=who))

    @rule(who=people)
    def submits(self, who):
        self.attempt(lambda: self.change.submitted(who, NOON, 0))

    @rule(who=people)
    def withdraws(self, who):
        self.attempt(lambda: self.change.withdrawn(who, NOON))

    @rule(who=people)
    def reads(self, who):
        self.read[who] = self.change.version_id

    @rule(who=people)
    def approves(self, who):
        if who in self.read:
            self.attempt(lambda: approve(self.change, by=who, read=self.read[who]))

    @rule(who=people)
    def rejects(self, who):
        self.attempt(lambda: self.change.rejected(who, comment="no", at=NOON, market_time=NOON))

    @invariant()
    def nothing_is_approved_that_was_not_read_by_another(self):
        change = self.change
        if change.decided is Decided.APPROVED:
            assert change.approver != change.author
            assert self.read[change.approver] == change.version_id
            assert self.approved_content in (None, change.version_id)
            self.approved_content = change.version_id
        else:
            assert self.approved_content is None
        assert change.author == "ann"


TestChangeMachine = ChangeMachine.TestCase
TestChangeMachine.settings = settings(max_examples=50, stateful_step_count=20)
