"""Does checking a column at a time see everything that following entry by entry sees, and accuse nobody?"""

import random
import struct
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.audit.domain.bulk import BulkCheck, numbers_of_stretch
from services.audit.domain.checkpoint import Checkpoint, sign_checkpoint
from services.audit.domain.closing import CLOSE_KIND
from services.audit.domain.columns import Columns
from services.audit.domain.glance import Glance
from services.audit.domain.merkle import leaf_hash
from services.audit.domain.sequencing import Head, grow
from services.audit.domain.stored import StoredCheckpoint
from services.audit.domain.stretch import Bodies, Keys, Numbers, Postings, Runs, Step, Suspicion, tiles_between
from services.audit.domain.terms import postings, postings_of_columns
from services.audit.domain.tiles import RightEdge
from services.kernel.canonical import canonical_json
from tests.audit.builders import KEY, NOON, ORIGIN, an_event, some_events


def stored(commits):
    """What a log stores of `commits`, each some events."""
    head, sequences = Head(RightEdge(), None), {}
    checkpoints, entries, found, tiles = [], [], {}, {}
    for number, events in enumerate(commits):
        start = head.edge.size
        growth = grow(head, events, {}, sequences, NOON + timedelta(seconds=number))
        head, sequences = growth.head, sequences | growth.sequences
        checkpoint = Checkpoint(ORIGIN, head.edge.size, head.edge.root())
        note = sign_checkpoint(checkpoint, [KEY])
        checkpoints.append(StoredCheckpoint(ORIGIN, checkpoint.size, checkpoint.root, note, head.recorded_time))
        entries += growth.entries
        found[start] = dict(postings(entry.event for entry in growth.entries))
        tiles |= {tile.id: tile for tile in growth.tiles}
    bodies = [bodies_of(entries[at : at + 100]) for at in range(0, len(entries), 100)]
    keys = Keys(
        bytes.fromhex("".join(entry.event.event_id for entry in entries).replace("-", "")),
        struct.pack(f">{len(entries)}q", *(entry.index for entry in entries)),
        b"".join(entry.event.digest for entry in entries),
    )
    return Step(0, checkpoints, {}, bodies, keys, postings_of(found), tiles), head.edge


def postings_of(found):
    rows = [(start, term, each) for start, terms in found.items() for term, each in terms.items()]
    return Postings(
        struct.pack(f">{len(rows)}q", *(start for start, _, _ in rows)),
        struct.pack(f">{len(rows)}q", *(term for _, term, _ in rows)),
        struct.pack(f">{len(rows)}i", *(len(each) for _, _, each in rows)),
        b"".join(each for _, _, each in rows),
    )


def bodies_of(entries):
    return Bodies(
        struct.pack(f">{len(entries)}q", *(entry.index for entry in entries)),
        b",".join(entry.body for entry in entries),
        struct.pack(f">{len(entries)}i", *(len(entry.body) for entry in entries)),
        b"".join(entry.leaf for entry in entries),
    )


def checked(step):
    check = BulkCheck(ORIGIN, [KEY.verifier_key], RightEdge())
    check.add(step)
    return check.clean()


# What is not recognised at a glance, and read as JSON.
QUOTED = an_event("quoted", data={"said": '"so"'})
TOLD = [
    an_event("nested", data={"a": [{"b": [1, None, True, "1.5"]}], "c": {"d": {}}}),
    an_event("umlauts", actor="Jürgen", subjects={"plan": "Prüfung"}, data={"größe": "é"}),
    an_event("no account", account=None, trace_parent=""),
    an_event("whole second", occurred_time=NOON.replace(microsecond=0)),
    an_event("named as members are", subjects={"index": "S&P", "recorded_time": "x", "a": "b"}),
]


@cache
def a_log(plain=True):
    last = [*some_events(39, "most"), an_event("last") if plain else QUOTED]
    return stored([some_events(3), TOLD[:4], some_events(300, "more"), last])


in_both_ways = pytest.mark.parametrize("plain", [True, False])


@in_both_ways
def test_a_log_as_it_is_written_is_clean(plain):
    step, edge = a_log(plain)

    clean = checked(step)

    assert clean.edge == edge
    assert clean.counted["entry"] == clean.counted["event_key"] == edge.size == 347
    assert clean.counted["tile"] == 1
    numbers = dict(zip(clean.numbers.accounts, clean.numbers.last, strict=True))
    assert set(clean.numbers.first) == {1}
    assert (
        numbers["acc-1"]
        == sum(each.account == "acc-1" for each in (*some_events(3), *TOLD[:4]))
        + sum(
            each.account == "acc-1"
            for count, name in ((300, "more"), (39, "most"))
            for each in some_events(count, name)
        )
        + 1
    )
    assert (Glance.of(step) is not None) is plain


def test_what_a_glance_sees_is_what_reading_json_says():
    told = [TOLD[0], TOLD[1], TOLD[2], TOLD[3], an_event("closes", kind=CLOSE_KIND), *some_events(300)]
    step, _ = stored([told])
    glance, columns = Glance.of(step), Columns.of(step)

    assert glance is not None
    assert glance.leaves == columns.leaves
    assert glance.keys() == columns.keys()
    assert glance.numbers_of_accounts() == columns.numbers_of_accounts()
    assert glance.entries(CLOSE_KIND) == columns.entries(CLOSE_KIND)
    assert [each.index for each in glance.entries(CLOSE_KIND)] == [4]


texts = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=6)
DATA = {"a": [{"b": [1, None, True, "1.5"]}, -20, 0], "b": {"c": {}, "d": [], "e": [[], False]}, "ü": "é", "z": 10}


@cache
def one_plain():
    return stored([[an_event("one", data=DATA)]])[0]


@settings(max_examples=200)
@given(st.data())
def test_a_body_with_other_bytes_is_recognised_at_a_glance_only_if_it_is_right(draw):
    """What the body's postings do not depend on is changed, and its leaf with it."""
    step = one_plain()
    body = step.bodies[0].text
    begins = draw.draw(st.sampled_from([body.index(b'"data"'), body.index(b'"occurred_time"')]))
    at = draw.draw(st.integers(begins, begins + 170 if begins < 100 else begins + 45))
    new = draw.draw(st.lists(st.sampled_from(b'{}[]",:0123456789-.eE \\ntfZT\x7f\xc3\xbc\xf0'), max_size=3).map(bytes))
    body = body[:at] + new + body[at + draw.draw(st.integers(0, 3)) :]
    part = Bodies(step.bodies[0].indexes, body, struct.pack(">i", len(body)), leaf_hash(body))
    try:
        columns = Columns.of(replace(step, bodies=[part]))
        columns.check(set())
    except Suspicion:
        columns = None

    try:
        glance = Glance.of(replace(step, bodies=[part]))
    except Suspicion:
        glance = None

    if glance is not None:
        assert columns is not None, body
        assert glance.keys() == columns.keys()


@pytest.mark.parametrize(
    ("data", "recognised"),
    [
        (b"{}", True),
        (b'{"a":1,"b":-2}', True),
        (b'{"a":999999999999999}', True),
        (b'{"a":9999999999999999}', False),
        (b'{"a":01}', False),
        (b'{"a":-0}', False),
        (b'{"a":1.0}', False),
        (b'{"a":1e2}', False),
        (b'{"b":1,"a":2}', False),
        (b'{"a":1,"a":2}', False),
        (b'{"a":1,}', False),
        (b'{"a":[1,]}', False),
        (b'{"a": 1}', False),
        (b'{"a":nul}', False),
        (b'{"a":1}}', False),
        (b'{"a":[1}', False),
        (b'{"a":"\t"}', False),
        (b'{"a":"\x7f"}', False),
        (b'{"a":"\xff"}', False),
        (b'{"":{"":[]}}', True),
        (b'{"a":' + b"[" * 14 + b"]" * 14 + b"}", True),
        (b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", False),
        (b"[]", False),
        (b"1", False),
    ],
)
def test_data_is_recognised_if_it_is_plainly_canonical(data, recognised):
    step = one_plain()
    body = step.bodies[0].text.replace(canonical_json(DATA), data)
    part = Bodies(step.bodies[0].indexes, body, struct.pack(">i", len(body)), leaf_hash(body))

    assert (Glance.of(replace(step, bodies=[part])) is not None) is recognised


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "plan", "x" * 50]),
            st.text(
                st.characters(codec="utf-8", exclude_categories=["C"], max_codepoint=0xFFFF), min_size=1, max_size=6
            ),
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=30)
def test_postings_of_subjects_of_any_length_are_found(subjects):
    told = [an_event(number, subjects={kind: each * 30}) for number, (kind, each) in enumerate(subjects)]
    step, edge = stored([told])

    assert checked(step).edge == edge


def runs(**accounts):
    """What one step says of accounts: of each its first and its last number."""
    names, bounds = [each.encode() for each in accounts], list(accounts.values())
    columns = ([len(each) for each in names], [first for first, _ in bounds], [last for _, last in bounds])
    return Runs(b"".join(names), *(struct.pack(f"={len(names)}q", *each) for each in columns))


def test_numbers_of_an_account_go_on_from_step_to_step_without_a_gap():
    steps = [runs(a=(1, 3), ab=(7, 7)), runs(), runs(b=(2, 2), a=(4, 4), ü=(1, 9)), runs(a=(5, 6), b=(3, 3))]

    assert numbers_of_stretch(steps) == Numbers(["a", "ab", "b", "ü"], [1, 7, 2, 1], [6, 7, 3, 9])
    for wrong in (runs(a=(6, 6)), runs(a=(4, 4)), runs(c=(1, 1), a=(5, 5), b=(4, 4))):
        with pytest.raises(Suspicion, match="the numbers of an account do not follow one another"):
            numbers_of_stretch([*steps[:3], wrong])


@in_both_ways
def test_keys_may_be_stored_in_any_order(plain):
    step, edge = a_log(plain)
    order = list(range(edge.size))
    random.Random(3).shuffle(order)
    keys = step.keys
    shuffled = Keys(
        b"".join(keys.event_ids[16 * n : 16 * n + 16] for n in order),
        b"".join(keys.indexes[8 * n : 8 * n + 8] for n in order),
        b"".join(keys.digests[32 * n : 32 * n + 32] for n in order),
    )

    assert checked(replace(step, keys=shuffled)).edge == edge


def test_an_entry_that_cannot_be_told_apart_at_a_glance_is_a_suspicion_and_no_error():
    with pytest.raises(Suspicion):
        checked(stored([[an_event("astral", data={"\U0001f600": 1, "\ufb33": 2})]])[0])
    named = an_event("a subject called as a member", subjects={"a": "b", "kind": "c"})
    with pytest.raises(Suspicion):
        checked(stored([[named, QUOTED]])[0])
    assert checked(stored([[named]])[0]).counted["entry"] == 1


def flipped(rnd, data):
    at = rnd.randrange(8 * len(data))
    return data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :]


def bent(rnd, step):
    """One bit of what is stored is another."""
    what = rnd.randrange(9)
    if what < 4:
        name = ("indexes", "text", "lengths", "leaves")[what]
        at = rnd.randrange(len(step.bodies))
        part = step.bodies[at]
        part = replace(part, **{name: flipped(rnd, getattr(part, name))})
        return name, replace(step, bodies=[*step.bodies[:at], part, *step.bodies[at + 1 :]])
    if what < 7:
        name = ("event_ids", "indexes", "digests")[what - 4]
        return name, replace(step, keys=replace(step.keys, **{name: flipped(rnd, getattr(step.keys, name))}))
    if what == 7:
        name = rnd.choice(["starts", "terms", "lengths", "positions"])
        return name, replace(
            step, postings=replace(step.postings, **{name: flipped(rnd, getattr(step.postings, name))})
        )
    (key, tile), *_ = step.tiles.items()
    return "tiles", replace(step, tiles=step.tiles | {key: replace(tile, data=flipped(rnd, tile.data))})


@in_both_ways
def test_any_bit_of_what_is_stored_is_a_suspicion_when_it_is_another(plain):
    step, _ = a_log(plain)
    rnd, seen = random.Random(20261129), {}
    for _ in range(120):
        what, changed = bent(rnd, step)
        with pytest.raises(Suspicion):
            checked(changed)
        seen[what] = seen.get(what, 0) + 1
    assert len(seen) == 10, seen


@in_both_ways
def test_what_is_missing_or_too_much_is_a_suspicion(plain):
    step, edge = a_log(plain)
    found = step.postings.by_commit()
    extra = {edge.size - 1: {7: b"\0\0"}}
    for changed in (
        replace(step, bodies=step.bodies[:-1]),
        replace(step, bodies=step.bodies[1:]),
        replace(step, postings=postings_of({**found, **extra})),
        replace(step, postings=postings_of({start: each for start, each in found.items() if start})),
        replace(step, tiles={}),
        replace(step, checkpoints=step.checkpoints[1:]),
        replace(step, checkpoints=step.checkpoints[:-1]),
        replace(step, keys=Keys(step.keys.event_ids[16:], step.keys.indexes[8:], step.keys.digests[32:])),
        replace(step, start=1),
    ):
        with pytest.raises(Suspicion):
            checked(changed)


@in_both_ways
def test_checkpoints_that_are_not_the_logs_are_suspicions(plain):
    step, _ = a_log(plain)
    first, second = step.checkpoints[0], step.checkpoints[1]
    for each in (
        replace(first, sign_time=first.sign_time + timedelta(microseconds=1)),
        replace(first, root=bytes(32)),
        replace(first, origin="another"),
        replace(first, note=second.note),
        replace(first, note=first.note.replace(ORIGIN, "another.example")),
    ):
        with pytest.raises(Suspicion):
            checked(replace(step, checkpoints=[each, *step.checkpoints[1:]]))


events = st.builds(
    lambda number, actor, kind, subjects, traced: an_event(
        number,
        kind=f"a.{kind}",
        actor=actor,
        producer=f"{kind}er",
        account=None,
        subjects=subjects,
        trace_parent=f"00-{traced:032x}-00f067aa0ba902b7-01" if traced else "",
    ),
    st.integers(0, 10**6),
    texts,
    st.sampled_from(["b", "b.c", "d"]),
    st.dictionaries(st.sampled_from(["plan", "order"]), texts, min_size=1),
    st.integers(0, 3),
)


@settings(max_examples=20)
@given(st.lists(events, max_size=20))
def test_postings_of_columns_are_those_of_the_events(told):
    columns = (
        [(each.actor, each.producer, each.kind) for each in told],
        [each.trace_parent for each in told],
        [each.subjects for each in told],
    )

    assert postings_of_columns(*columns, {}) == postings(told)


def test_more_labels_than_a_byte_can_tell_have_the_same_postings():
    told = [an_event(number, actor=f"person-{number}") for number in range(300)]
    labels = [(each.actor, each.producer, each.kind) for each in told]
    traces, subjects = [each.trace_parent for each in told], [each.subjects for each in told]

    assert postings_of_columns(labels, traces, subjects, {}) == postings(told)


@given(st.integers(0, 2_000), st.integers(0, 600))
@example(65_500, 100)
@settings(max_examples=8)
def test_the_tiles_between_two_sizes_are_those_that_become_full(start, count):
    edge, _ = RightEdge().extended([bytes(32)] * start)

    _, full = edge.extended([bytes(32)] * count)

    assert sorted(tiles_between(start, start + count)) == sorted(tile.id for tile in full)
