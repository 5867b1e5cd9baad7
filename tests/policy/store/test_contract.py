"""What every store of policies does: the one in memory, which other tests use, and the one in PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import delete, exc, insert, select, text, update

from services.kernel.events import Event
from services.kernel.ids import PolicyNodeId
from services.kernel.money import Money
from services.policy.app.ports import ChangeFilter
from services.policy.domain.assets import AccountValue, Assets
from services.policy.domain.changes import State
from services.policy.domain.document import Document
from services.policy.domain.errors import NodeExists, NodeNotFound, RolloutOpen, VersionConflict
from services.policy.domain.history import AsOf, following, in_force
from services.policy.domain.index import PolicyIndex
from services.policy.domain.mixes import Targets, TargetWeight
from services.policy.domain.notices import NoticeKind, noticed
from services.policy.domain.personal import Consent, Profile, ProfileRecord
from services.policy.domain.personal_rules import BudgetModel, IncomePath, ProfileRule
from services.policy.domain.preferences import Exclusion, Preferences, PreferencesRecord, Tilt
from services.policy.domain.rollout import begun
from services.policy.domain.tree import NodeKind
from services.policy.store import PolicyStore
from services.policy.tables import activation, change, consent, outbox, preferences, profile, version
from services.runtime.database import Database
from tests.policy.builders import (
    DAY,
    NOON,
    a_change,
    a_comparison,
    a_firm,
    a_node,
    a_plan,
    a_stop,
    bands,
    risk,
    submitted,
    targets,
)
from tests.policy.builders import approved as approved_by
from tests.policy.memory_store import MemoryStore

TREE = [
    a_firm(),
    a_node("growth"),
    a_node("family", NodeKind.HOUSEHOLD, under="growth"),
    a_node("acc-1", NodeKind.ACCOUNT, under="family"),
    a_node("acc-2", NodeKind.ACCOUNT, under="family"),
]


@pytest.fixture
async def stored(policy_database):
    database = Database(policy_database.settings())
    yield PolicyStore(database)
    await database.close()


@pytest.fixture(params=["memory", "postgresql"])
def store(request):
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("stored")


async def planted(store, nodes=TREE):
    async with store.begin() as policies:
        await policies.add_nodes(nodes)


async def approve(store, node_id="firm", document=None, *, name="1", effective=NOON, recorded=NOON, announced=False):
    """Keep an approved change of `node_id`, and return it."""
    document = bands(trigger=f"0.0{name}") if document is None else document
    waiting = submitted(document=document, node_id=node_id, change_id=f"change-{name}", requested_time=effective)
    approved = approved_by(waiting, at=recorded, market_time=effective)
    async with store.begin() as policies:
        await policies.add_change(approved)
        added = following(
            await policies.history(node_id),
            node_id=node_id,
            version_id=approved.version_id,
            change_id=approved.change_id,
            effective_time=effective,
            recorded_time=recorded,
        )
        await policies.add_activation(added, announced=announced)
    return approved


async def test_nodes_come_back_as_they_were(store):
    await planted(store)

    async with store.read() as policies:
        assert await policies.node("acc-1") == TREE[3]
        assert await policies.node("nobody") is None
        assert await policies.children_count("family") == 2
        assert await policies.children_count("acc-1") == 0


async def test_an_ancestry_is_everything_above(store):
    await planted(store)

    async with store.read() as policies:
        found = await policies.ancestry(["acc-1", "nobody"])
        everything = await policies.ancestry(None)

    assert {node.node_id for node in found} == {"acc-1", "family", "growth", "firm"}
    assert len(found) == 4
    assert sorted(everything, key=lambda n: n.node_id) == sorted(TREE, key=lambda n: n.node_id)


async def test_a_lineage_is_who_stands_under_whom(store):
    await planted(store)
    index = await known(store)

    async with store.read() as policies:
        for asked in (["acc-2", "nobody"], None):
            found, same = await policies.lineage(asked), index.lineage(asked)
            assert dict(found.parents) == dict(same.parents)
            assert list(found.account_ids) == list(same.account_ids)
        one = await policies.lineage(["acc-2", "nobody"])
    assert one.parents == {"acc-2": "family", "family": "growth", "growth": "firm", "firm": None}
    assert one.account_ids == ["acc-2"]


async def known(store, index=None):
    """Return what is known of everything that governs, after `index`."""
    index = PolicyIndex() if index is None else index
    async with store.read() as policies:
        async for delta in policies.deltas(index.edition):
            index = index.advanced(delta)
    return index


async def edition(store):
    async with store.read() as policies:
        return await policies.edition()


async def test_the_edition_moves_on_with_whatever_changes_what_governs(store):
    editions = [await edition(store)]
    await planted(store)
    editions.append(await edition(store))
    await approve(store, name="1", effective=NOON + DAY)
    editions.append(await edition(store))
    async with store.begin() as policies:
        await policies.revoke("change-1", NOON)
    editions.append(await edition(store))
    async with store.begin() as policies:
        await policies.add_stop(a_stop())
    editions.append(await edition(store))
    async with store.begin() as policies:
        await policies.delete_node("acc-2")
    editions.append(await edition(store))

    assert editions == sorted(set(editions))
    before = await edition(store)
    async with store.begin() as policies:
        await policies.add_change(a_change(change_id="change-2"))
    assert await edition(store) == before


async def test_what_is_known_advances_by_what_changed(store):
    await planted(store)
    await approve(store, name="1", document=risk(cash_floor="0.1"))
    index = await known(store)
    before = index.layers(AsOf(NOON))
    assert (before["firm"].document, before.get("acc-1")) == (risk(cash_floor="0.1"), None)

    await approve(store, "acc-1", document=risk(cash_floor="0.2"), name="2")
    async with store.begin() as policies:
        await policies.add_nodes([a_node("acc-3", NodeKind.ACCOUNT, under="family")])
        await policies.delete_node("acc-2")
    later = await known(store, index)
    alone = await known(store)

    assert "acc-3" not in index.lineage(None).parents
    for found in (later, alone):
        assert list(found.account_ids()) == ["acc-1", "acc-3"]
        assert "acc-2" not in found.lineage(None).parents
        layers = found.layers(AsOf(NOON))
        assert {each: layers[each].document for each in layers} == {
            "firm": risk(cash_floor="0.1"),
            "acc-1": risk(cash_floor="0.2"),
        }


async def test_a_stop_comes_back_as_it_was_and_is_lifted_once(store):
    await planted(store)
    stop = a_stop()
    async with store.begin() as policies:
        await policies.add_stop(stop)
        await policies.add_stop(a_stop(node_id="acc-1", stop_id="stop-2"))
    lifted = stop.lifted("bob", reason="fine", at=NOON + DAY, market_time=NOON + DAY)
    async with store.begin() as policies:
        assert await policies.stop("stop-1") == stop
        await policies.lift(lifted)

    async with store.read() as policies:
        assert await policies.stop("stop-1") == lifted
        assert await policies.stop("nobody") is None
        everything = await policies.stops(node_id=None, holding_only=False, before=None, limit=9)
        assert [each.stop.stop_id for each in everything] == ["stop-2", "stop-1"]
        holding = await policies.stops(node_id=None, holding_only=True, before=None, limit=9)
        assert [each.stop.stop_id for each in holding] == ["stop-2"]
        older = await policies.stops(node_id=None, holding_only=False, before=everything[0].number, limit=9)
        assert [each.stop.stop_id for each in older] == ["stop-1"]
        asked = [stop.version_id, "sha256:0"]
        assert await policies.in_force(asked, AsOf(NOON)) == {stop.version_id}
        assert await policies.in_force(asked, AsOf(NOON + DAY)) == set()


async def test_a_rollout_comes_back_as_it_was_and_a_node_has_one_at_a_time(store):
    await planted(store)
    one = await rolling(store, "1")
    canary = one.advanced("bob", reason="well", at=NOON, market_time=NOON, seen=())
    with pytest.raises(RolloutOpen):
        await rolling(store, "2")
    async with store.begin() as policies:
        assert await policies.rollout(one.change_id) == one
        await policies.add_step(canary)
    with pytest.raises(VersionConflict):
        async with store.begin() as policies:
            await policies.add_step(canary)

    async with store.read() as policies:
        assert await policies.rollout(one.change_id) == canary
        assert await policies.rollout("change-9") is None
        found = await policies.rollouts(node_id="firm", open_only=True, before=None, limit=9)
        assert [each.rollout for each in found] == [canary]
        assert await policies.in_force([one.version_id], AsOf(NOON)) == {one.version_id}
        change_ = await policies.change(one.change_id)
        assert (change_.rollout, change_.approvals[0].approver) == (one.plan, "bob")


async def test_a_comparison_of_an_account_in_a_run_counts_once(store):
    await planted(store)
    one = await rolling(store, "1")
    first, second = a_comparison("acc-1", tax="1.5"), a_comparison("acc-2", tax="2.5")
    async with store.begin() as policies:
        assert await policies.add_comparisons(one.change_id, [first, second]) == 2
    async with store.begin() as policies:
        assert await policies.add_comparisons(one.change_id, [first, a_comparison("acc-1", run="run-2")]) == 1

    async with store.read() as policies:
        newest = await policies.comparisons(one.change_id, 2)
        assert [each.run_id for each in newest] == ["run-2", "run-1"]
        assert newest[1] == second
        assert await policies.comparison_count(one.change_id) == 3


async def test_accounts_at_and_under_a_node_are_counted(store):
    await planted(store)

    async with store.read() as policies:
        counts = [await policies.account_count(node_id) for node_id in ("firm", "family", "acc-1")]
    assert counts == [2, 2, 1]


async def rolling(store, name):
    """Keep a change of the firm that is being rolled out, and return its rollout."""
    waiting = submitted(document=bands(trigger=f"0.0{name}"), change_id=f"change-{name}", rollout=a_plan())
    change_ = approved_by(waiting)
    begun_ = begun(
        change_.change_id, change_.node_id, change_.version_id, change_.rollout,
        author="ann", by="bob", at=NOON, market_time=NOON,
    )  # fmt: skip
    async with store.begin() as policies:
        await policies.add_change(change_)
        await policies.add_rollout(begun_)
    return begun_


async def test_nodes_are_listed_by_id_in_pages(store):
    await planted(store)

    async with store.read() as policies:
        first = await policies.nodes(parent_id=None, kind=None, after=None, limit=2)
        second = await policies.nodes(parent_id=None, kind=None, after=first[-1].node_id, limit=10)
        accounts = await policies.nodes(parent_id=None, kind=NodeKind.ACCOUNT, after="acc-1", limit=10)
        children = await policies.nodes(parent_id="family", kind=None, after=None, limit=10)

    assert [n.node_id for n in first + second] == ["acc-1", "acc-2", "family", "firm", "growth"]
    assert [n.node_id for n in accounts] == ["acc-2"]
    assert [n.node_id for n in children] == ["acc-1", "acc-2"]


async def test_an_id_is_taken_once_and_a_parent_exists(store):
    await planted(store)

    with pytest.raises(NodeExists):
        await planted(store, [a_node("new"), a_node("growth")])
    with pytest.raises(NodeNotFound):
        await planted(store, [a_node("new", under="nobody")])
    async with store.read() as policies:
        assert await policies.node("new") is None


async def test_a_deleted_node_is_gone(store):
    await planted(store)

    async with store.begin() as policies:
        await policies.delete_node("acc-2")
    async with store.read() as policies:
        assert await policies.node("acc-2") is None


async def test_a_change_comes_back_as_it_was(store):
    await planted(store)
    drafted = a_change(targets(cash="0.1", VTI="0.9"), requested_time=NOON + DAY)
    async with store.begin() as policies:
        await policies.add_change(drafted)
        await policies.replace_change(drafted.submitted("ann", NOON, 0))

    async with store.read() as policies:
        assert await policies.change("change-1") == drafted.submitted("ann", NOON, 0)
        assert await policies.change("change-2") is None


async def test_of_two_steps_from_one_revision_one_conflicts(store):
    await planted(store)
    drafted = a_change()
    async with store.begin() as policies:
        await policies.add_change(drafted)
        await policies.replace_change(drafted.submitted("ann", NOON, 0))

    with pytest.raises(VersionConflict):
        async with store.begin() as policies:
            await policies.replace_change(drafted.withdrawn("ann", NOON))
    async with store.read() as policies:
        assert (await policies.change("change-1")).decided == "submitted"


async def test_changes_are_listed_newest_first_in_pages(store):
    await planted(store)
    async with store.begin() as policies:
        for number in range(1, 5):
            await policies.add_change(
                a_change(change_id=f"change-{number}", node_id="firm" if number < 4 else "growth")
            )
        await policies.add_change(a_change(change_id="change-5", author="cy"))

    async with store.read() as policies:
        first = await policies.changes(ChangeFilter(node_id="firm"), before=None, limit=2)
        second = await policies.changes(ChangeFilter(node_id="firm"), before=first[-1].number, limit=9)
        by_cy = await policies.changes(ChangeFilter(author="cy"), before=None, limit=9)
        decided = await policies.changes(ChangeFilter(approver="bob"), before=None, limit=9)

    assert [each.change.change_id for each in first + second] == ["change-5", "change-3", "change-2", "change-1"]
    assert [each.change.change_id for each in by_cy] == ["change-5"]
    assert decided == []


async def test_changes_are_found_by_state_as_the_domain_says_it(store):
    await planted(store)
    await approve(store, name="1")
    await approve(store, name="2", effective=NOON + DAY)
    await approve(store, name="3", effective=NOON + 2 * DAY)
    async with store.begin() as policies:
        await policies.add_change(a_change(change_id="change-4"))
        await policies.add_change(submitted(change_id="change-5"))

    async with store.read() as policies:
        everything = await policies.changes(ChangeFilter(), before=None, limit=9)
        for at in (NOON - DAY, NOON, NOON + DAY, NOON + 3 * DAY):
            for state in State:
                found = await policies.changes(ChangeFilter(state=state, market_time=at), before=None, limit=9)
                assert found == [each for each in everything if each.change.state(at) is state], (at, state)


async def test_changes_are_found_by_field_and_time(store):
    await planted(store)
    async with store.begin() as policies:
        await policies.add_change(a_change(risk(cash_floor="0.1"), change_id="change-1"))
        await policies.add_change(a_change(bands(trigger="0.1"), change_id="change-2"))

    async def found(**wanted):
        async with store.read() as policies:
            changes = await policies.changes(ChangeFilter(**wanted), before=None, limit=9)
        return [each.change.change_id for each in changes]

    assert await found(field="risk") == ["change-1"]
    assert await found(field="risk.cash_floor") == ["change-1"]
    assert await found(field="bands.trigger") == ["change-2"]
    assert await found(field="risk.cash") == []
    assert await found(created_from=NOON) == ["change-2", "change-1"]
    assert await found(created_from=NOON + DAY) == []
    assert await found(created_before=NOON) == []


async def test_notices_come_in_order_after_a_position(store):
    await planted(store)
    await approve(store, name="1")
    async with store.read() as policies:
        (activated,) = await policies.history("firm")
    async with store.begin() as policies:
        assert await policies.last_position() == 0
        for kind in NoticeKind:
            await policies.add_notice(noticed(kind, activated, last=await policies.last_position(), at=NOON))

    async with store.read() as policies:
        everything = await policies.notices(0, 9)
        assert [(n.position, n.kind) for n in everything] == list(enumerate(NoticeKind, start=1))
        assert await policies.notices(1, 1) == everything[1:2]
        assert await policies.notices(len(NoticeKind), 9) == []
    assert (everything[0].change_id, everything[0].effective_time) == ("change-1", NOON)


async def test_what_governs_is_what_the_history_says(store):
    await planted(store)
    await approve(store, name="1", effective=NOON, recorded=NOON - DAY)
    await approve(store, name="2", effective=NOON + 2 * DAY, recorded=NOON + DAY)
    await approve(store, name="3", effective=NOON + 4 * DAY, recorded=NOON + DAY)
    async with store.begin() as policies:
        await policies.revoke("change-3", NOON + 3 * DAY)
    await approve(store, name="4", effective=NOON + 5 * DAY, recorded=NOON + 3 * DAY)
    half_days = [NOON + timedelta(hours=12 * n) for n in range(-3, 14)]

    async with store.read() as policies:
        history = await policies.history("firm")
        assert [a.sequence for a in history] == [1, 2, 3, 4]
        assert [a.follows for a in history] == [None, 1, 2, 2]
        for valid in half_days:
            for known in (None, *half_days):
                governing = in_force(history, AsOf(valid, known))
                found = await policies.layers(["firm"], AsOf(valid, known))
                assert {n: layer.change_id for n, layer in found.items()} == (
                    {} if governing is None else {"firm": governing.change_id}
                ), (valid, known)
                names = [a.version_id for a in history]
                assert await policies.in_force(names, AsOf(valid, known)) == (
                    set() if governing is None else {governing.version_id}
                )


async def test_scheduled_times_are_those_to_come(store):
    await planted(store)
    await approve(store, name="1")
    await approve(store, name="2", effective=NOON + DAY)
    await approve(store, "growth", name="3", effective=NOON + DAY)
    await approve(store, "family", name="4", effective=NOON + 2 * DAY)
    await approve(store, "acc-1", name="5", effective=NOON + 3 * DAY)
    async with store.begin() as policies:
        await policies.revoke("change-5", NOON)

    async with store.read() as policies:
        nodes = [node.node_id for node in TREE]
        assert await policies.scheduled_times(nodes, NOON) == [NOON + DAY, NOON + 2 * DAY]
        assert await policies.scheduled_times(nodes, NOON + DAY) == [NOON + 2 * DAY]
        assert await policies.scheduled_times(["firm", "growth"], NOON) == [NOON + DAY]
        assert await policies.scheduled_times([], NOON) == []


async def test_the_governed_are_those_above_and_below_that_ever_had_a_version(store):
    await planted(store, [*TREE, a_node("other"), a_node("acc-9", NodeKind.ACCOUNT, under="other")])
    for name, node_id in (("1", "firm"), ("2", "growth"), ("3", "acc-1"), ("4", "acc-9")):
        await approve(store, node_id, name=name)

    async with store.read() as policies:
        assert await policies.governed("firm") == ["acc-1", "acc-9", "firm", "growth"]
        assert await policies.governed("family") == ["acc-1", "firm", "growth"]
        assert await policies.governed("acc-2") == ["firm", "growth"]
        assert await policies.governed("other") == ["acc-9", "firm"]
        assert await policies.governed("nobody") == []


async def test_a_layer_says_who_is_responsible(store):
    await planted(store)
    approved = await approve(store, effective=NOON, recorded=NOON - DAY)
    await approve(store, "growth", name="2")

    async with store.read() as policies:
        every = await policies.layers(None, AsOf(NOON))
        one = await policies.layers(["firm", "acc-1"], AsOf(NOON))

    assert every.keys() == {"firm", "growth"}
    assert one.keys() == {"firm"}
    layer = one["firm"]
    assert layer.document == approved.document
    assert layer.version_id == approved.version_id
    assert (layer.author, layer.approver, layer.reason, layer.change_id) == ("ann", "bob", "because", "change-1")
    assert (layer.effective_time, layer.approved_time) == (NOON, NOON - DAY)


async def test_a_change_knows_since_when_another_governs(store):
    await planted(store)
    await approve(store, name="1")
    await approve(store, name="2", effective=NOON + DAY)

    async with store.read() as policies:
        assert (await policies.change("change-1")).superseded_time == NOON + DAY
        assert (await policies.change("change-2")).superseded_time is None
    async with store.begin() as policies:
        await policies.revoke("change-2", NOON)
    async with store.read() as policies:
        assert (await policies.change("change-1")).superseded_time is None


async def test_the_same_content_may_come_again(store):
    await planted(store)
    for name, trigger in (("1", "0.05"), ("2", "0.06"), ("3", "0.05")):
        await approve(store, document=bands(trigger=trigger), name=name, effective=NOON + int(name) * DAY)
    async with store.begin() as policies:
        await policies.add_change(a_change(bands(trigger="0.06"), change_id="change-4"))
        await policies.add_change(a_change(bands(trigger="0.07"), change_id="change-5"))

    async with store.read() as policies:
        first, second, third, _ = [(await policies.change(f"change-{n}")) for n in range(1, 5)]
        assert first.version_id == third.version_id
        assert (await policies.change_of_version(first.version_id)).change_id == "change-3"
        assert (await policies.change_of_version(second.version_id)).change_id == "change-2"
        assert (await policies.change_of_version(a_change(bands(trigger="0.07")).version_id)).change_id == "change-5"
        assert await policies.change_of_version("sha256:none") is None
        assert await policies.in_force([first.version_id], AsOf(NOON + 2 * DAY)) == set()
        assert await policies.in_force([first.version_id], AsOf(NOON + 3 * DAY)) == {first.version_id}


async def test_of_two_activations_that_follow_one_the_second_conflicts(store):
    await planted(store)
    await approve(store, name="1")
    async with store.read() as policies:
        seen = await policies.history("firm")
    await approve(store, name="2", effective=NOON + DAY)
    late = following(
        seen,
        node_id="firm",
        version_id=a_change().version_id,
        change_id="change-3",
        effective_time=NOON + 2 * DAY,
        recorded_time=NOON,
    )

    async def come_late():
        async with store.begin() as policies:
            await policies.add_change(a_change(change_id="change-3"))
            await policies.add_activation(replace(late, sequence=3), announced=False)

    with pytest.raises(VersionConflict):
        await come_late()
    async with store.read() as policies:
        assert await policies.change("change-3") is None


async def test_activations_are_due_once_they_take_effect_until_they_are_announced(store):
    await planted(store)
    await approve(store, name="1", announced=True)
    await approve(store, name="2", effective=NOON + DAY)
    await approve(store, "growth", name="3", effective=NOON + 2 * DAY)

    async with store.begin() as policies:
        assert await policies.due(NOON + DAY - timedelta(microseconds=1), 9) == []
        (due,) = await policies.due(NOON + 3 * DAY, 1)
        await policies.announced(due, NOON)
        (last,) = await policies.due(NOON + 3 * DAY, 9)
    assert (due.change_id, last.change_id) == ("change-2", "change-3")


async def test_a_transaction_that_fails_leaves_no_trace(store):
    async def fail():
        async with store.begin() as policies:
            await policies.add_nodes(TREE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    async with store.read() as policies:
        assert await policies.ancestry(None) == []


# What only a database can promise, whatever the code above it believes.


async def test_events_are_written_with_what_they_tell_of(stored):
    async with stored.begin() as policies:
        await policies.emit(Event("policy.node.created", {"policy_node": "firm"}, {}))

    async with stored.database.read() as connection:
        assert (await connection.execute(select(outbox.c.kind))).scalars().all() == ["policy.node.created"]


@pytest.fixture
async def governed(stored):
    await planted(stored)
    await approve(stored, name="1")
    return stored


async def refused(store, statement, match):
    with pytest.raises(exc.DBAPIError, match=match):
        async with store.database.begin() as transaction:
            await transaction.connection.execute(statement)


async def test_no_row_can_say_that_an_author_approved(governed):
    await refused(governed, update(change).values(approver="ann"), "change_check")


async def test_an_approved_content_cannot_be_exchanged(governed):
    async with governed.begin() as policies:
        await policies.add_change(a_change(bands(trigger="0.5"), change_id="change-2"))

    other = select(change.c.version_id).where(change.c.change_id == "change-2").scalar_subquery()
    await refused(
        governed, update(change).where(change.c.change_id == "change-1").values(version_id=other), "foreign key"
    )


@pytest.mark.parametrize(
    "statement",
    [
        update(version).values(document="{}"),
        delete(version),
        delete(activation),
        update(activation).values(effective_time=NOON - DAY),
        update(activation).values(version_id="sha256:other"),
    ],
)
async def test_history_cannot_be_changed(governed, statement):
    await refused(governed, statement, "is history and cannot be changed")


@pytest.mark.parametrize(
    ("follows", "follows_time", "effective", "constraint"),
    [
        (None, None, NOON + DAY, "activation_one_successor"),
        (1, NOON, NOON, "activation_check"),
        (1, NOON - DAY, NOON + DAY, "foreign key"),
        (7, NOON, NOON + DAY, "activation_check"),
    ],
)
async def test_no_row_can_make_two_versions_govern_at_one_instant(
    governed, follows, follows_time, effective, constraint
):
    async with governed.begin() as policies:
        await policies.add_change(a_change(bands(trigger="0.5"), change_id="change-2"))
    row = {
        "node_id": "firm",
        "sequence": 2,
        "follows": follows,
        "follows_effective_time": follows_time,
        "version_id": a_change(bands(trigger="0.5")).version_id,
        "change_id": "change-2",
        "effective_time": effective,
        "recorded_time": NOON,
    }

    await refused(governed, insert(activation).values(row), constraint)


async def test_deciding_happens_one_at_a_time(stored):
    order = []

    async def decide(name, entered, leave):
        async with stored.begin() as policies:
            await policies.decide_alone()
            order.append(name)
            entered.set()
            await leave.wait()
            order.append(name)

    first_in, second_in, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(decide("first", first_in, go))
    await first_in.wait()
    second = asyncio.create_task(decide("second", second_in, go))
    async with stored.database.dedicated() as connection:
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        async with asyncio.timeout(60):
            while (await connection.execute(waiting)).scalar_one() == 0:  # noqa: ASYNC110 - another session waits
                await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, second)

    assert order == ["first", "first", "second", "second"]


async def test_references_to_models_are_those_of_versions_that_stand(store):
    await planted(store)
    lines = (TargetWeight(Decimal("0.5"), model_node_id="growth"), TargetWeight(Decimal("0.5"), model_node_id="other"))
    rule = ProfileRule(models=(BudgetModel(Decimal("0.1"), "growth"),))
    await approve(store, "family", Document(targets=Targets(lines)), name="1")
    await approve(store, "firm", Document(profile_rule=rule), name="2")
    revoked = await approve(store, "acc-1", Document(targets=Targets(lines[:1])), name="3")
    async with store.begin() as policies:
        await policies.revoke(revoked.change_id, NOON)

    async with store.read() as policies:
        found = await policies.model_references()
    assert found == [("family", "growth"), ("family", "other"), ("firm", "growth")]


def a_profile(sequence=1, node_id="acc-1", *, effective=NOON, recorded=NOON, **said):
    profile = Profile(date(1980, 2, 29), **said)
    return ProfileRecord(PolicyNodeId(node_id), sequence, profile, "ada", "asked", effective, recorded)


EVERYTHING = {
    "tolerance": 3,
    "horizon_date": date(2040, 12, 31),
    "income_path": IncomePath.FALLING,
    "liquidity_need": Decimal("0.25"),
    "residence": "DE",
    "wrapper": "PENSION",
}


def worth(account_id, amount, at=NOON, currency="USD"):
    return AccountValue(PolicyNodeId(account_id), Money(Decimal(amount), currency), at, NOON, "eve")


async def test_what_accounts_are_worth_is_what_was_said_of_the_latest_instant(store):
    await planted(store)
    async with store.begin() as policies:
        assert await policies.record_values([worth("acc-1", 100, NOON + DAY)]) == 1
    async with store.begin() as policies:
        # Of acc-1 it is older than what is kept.
        assert await policies.record_values([worth("acc-2", 5, currency="EUR"), worth("acc-1", 7)]) == 1

    async with store.read() as policies:
        assert await policies.assets("acc-1") == Assets({"USD": Decimal(100)}, 0, NOON + DAY)
        family = await policies.assets("family")
        assert family == Assets({"USD": Decimal(100), "EUR": Decimal(5)}, 0, NOON)
        whole = await policies.assets("firm")
        assert whole.unknown_count == len(await policies.accounts_below("firm")) - 2


async def test_a_profile_comes_back_as_it_was_as_of_any_instant(store):
    await planted(store)
    first, later = a_profile(**EVERYTHING), a_profile(2, effective=NOON + DAY, recorded=NOON + 2 * DAY)
    async with store.begin() as policies:
        await policies.add_profile(first)
        await policies.add_profile(later)
        await policies.add_profile(a_profile(node_id="family"))

    async with store.read() as policies:
        assert await policies.profile_history("acc-1") == [first, later]
        assert (await policies.clients(["acc-1", "acc-2"], AsOf(NOON))).profiles == {"acc-1": first}
        assert (await policies.clients(["acc-1"], AsOf(NOON + DAY))).profiles == {"acc-1": later}
        assert (await policies.clients(["acc-1"], AsOf(NOON + DAY, NOON + DAY))).profiles == {"acc-1": first}
        assert (await policies.clients(["acc-1"], AsOf(NOON - DAY))).profiles == {}
        assert set((await policies.clients(None, AsOf(NOON))).profiles) == {"acc-1", "family"}
        for as_of in (AsOf(NOON), AsOf(NOON, NOON)):
            number, together = await store.glance(["acc-1", "acc-2"], as_of)
            assert (number, together) == (await policies.edition(), await policies.clients(["acc-1", "acc-2"], as_of))
        assert await policies.accounts_below("family") == ["acc-1", "acc-2"]
        assert await policies.accounts_below("acc-2") == ["acc-2"]


async def test_two_records_cannot_be_the_next_one(store):
    await planted(store)
    chosen = PreferencesRecord(PolicyNodeId("acc-1"), 1, Preferences(), "ada", "", NOON, NOON)
    consent = Consent(PolicyNodeId("acc-1"), "mandate", 1, True, "d", "ada", NOON, NOON)
    for add, record in (("add_profile", a_profile()), ("add_preferences", chosen), ("add_consent", consent)):
        async with store.begin() as policies:
            await getattr(policies, add)(record)
        with pytest.raises(VersionConflict):
            async with store.begin() as policies:
                await getattr(policies, add)(record)


async def test_a_consent_is_valid_from_its_time_to_its_end_or_its_withdrawal(store):
    await planted(store)
    node_id = PolicyNodeId("family")
    records = [
        Consent(node_id, "mandate", 1, True, "d1", "ada", NOON, NOON, NOON + 5 * DAY),
        Consent(node_id, "esg", 2, True, "d2", "ada", NOON, NOON),
        Consent(node_id, "esg", 3, False, "d3", "ada", NOON + DAY, NOON + DAY),
    ]
    async with store.begin() as policies:
        for record in records:
            await policies.add_consent(record)

    async with store.read() as policies:
        assert await policies.consent_history("family") == records
        for instant, kinds in (
            (AsOf(NOON - DAY), None),
            (AsOf(NOON), {"mandate", "esg"}),
            (AsOf(NOON + DAY), {"mandate"}),
            (AsOf(NOON + DAY, NOON), {"mandate", "esg"}),
            (AsOf(NOON + 5 * DAY), None),
        ):
            assert (await policies.clients(["family", "acc-1"], instant)).valid_consents.get("family") == kinds


async def test_preferences_come_back_as_they_were(store):
    await planted(store)
    chosen = Preferences(
        Decimal("0.7"), -1, (Exclusion(instrument_id="GME"), Exclusion(screen="oil")), (Tilt("VTI", Decimal("0.01")),)
    )
    records = [
        PreferencesRecord(PolicyNodeId("acc-1"), 1, chosen, "ada", "a wish", NOON, NOON),
        PreferencesRecord(PolicyNodeId("acc-1"), 2, Preferences(), "ada", "", NOON + DAY, NOON + DAY),
    ]
    async with store.begin() as policies:
        for record in records:
            await policies.add_preferences(record)

    async with store.read() as policies:
        assert await policies.preference_history("acc-1") == records
        assert (await policies.clients(["acc-1"], AsOf(NOON))).preferences == {"acc-1": records[0]}
        assert (await policies.clients(None, AsOf(NOON + DAY))).preferences == {"acc-1": records[1]}


async def test_a_profile_is_looked_at_when_it_is_due_and_not_before(store):
    await planted(store)
    async with store.begin() as policies:
        await policies.look_at("acc-1", NOON + DAY)
        await policies.look_at("acc-2", NOON)
        await policies.look_at("acc-1", NOON + 2 * DAY)

        assert await policies.to_look_at(NOON + DAY, 10) == [("acc-2", NOON)]
        assert await policies.to_look_at(NOON + 2 * DAY, 10) == [("acc-2", NOON), ("acc-1", NOON + 2 * DAY)]
        assert await policies.to_look_at(NOON + 2 * DAY, 1) == [("acc-2", NOON)]


@pytest.mark.parametrize("table", [profile, consent, preferences])
async def test_records_of_clients_are_history(stored, table):
    await planted(stored)
    async with stored.begin() as policies:
        await policies.add_profile(a_profile())
        await policies.add_consent(Consent(PolicyNodeId("acc-1"), "mandate", 1, True, "d", "ada", NOON, NOON))
        await policies.add_preferences(
            PreferencesRecord(PolicyNodeId("acc-1"), 1, Preferences(), "ada", "", NOON, NOON)
        )

    for statement in (update(table).values(author="eve"), delete(table)):
        with pytest.raises(exc.IntegrityError, match="history"):
            async with stored.begin() as policies:
                await policies._connection.execute(statement)
