from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.domain.errors import VersionConflict
from services.policy.domain.history import AsOf, following, in_force, newest
from tests.policy.builders import DAY, NOON
from tests.policy.strategies import histories

_MOMENTS = st.integers(-50, 300).map(lambda hours: NOON + timedelta(hours=hours))


def day(number):
    return datetime(2026, 3, number, tzinfo=UTC)


def activated(history, name, *, effective, recorded):
    return [
        *history,
        following(
            history,
            node_id=PolicyNodeId("node"),
            version_id=PolicyVersionId(name),
            change_id=ChangeId(f"change-{name}"),
            effective_time=effective,
            recorded_time=recorded,
        ),
    ]


def version_at(history, valid, known=None):
    found = in_force(history, AsOf(valid, known))
    return None if found is None else found.version_id


def test_what_was_in_force_on_3_march_as_known_on_5_march():
    history = activated([], "old", effective=day(1), recorded=day(1))
    history = activated(history, "new", effective=day(6), recorded=day(4))

    assert version_at(history, day(3), day(5)) == "old"
    assert version_at(history, day(6), day(5)) == "new"
    # On the 3rd nobody knew yet of what was approved on the 4th.
    assert version_at(history, day(6), day(3)) == "old"
    assert version_at(history, day(6)) == "new"


def test_an_activation_holds_from_its_first_instant_on():
    history = activated([], "first", effective=day(2), recorded=day(1))

    assert version_at(history, day(2) - timedelta(microseconds=1)) is None
    assert version_at(history, day(2)) == "first"
    assert version_at(history, day(2), day(1)) == "first"
    assert version_at(history, day(2), day(1) - timedelta(microseconds=1)) is None


def test_what_was_revoked_counts_only_for_those_who_ask_about_before():
    history = activated([], "old", effective=day(1), recorded=day(1))
    history = activated(history, "bad", effective=day(9), recorded=day(2))
    history[1] = history[1].revoked(day(4))
    history = activated(history, "good", effective=day(7), recorded=day(5))

    assert version_at(history, day(10), day(3)) == "bad"
    assert version_at(history, day(10), day(4)) == "old"
    assert version_at(history, day(10)) == "good"
    assert newest(history).version_id == "good"
    assert (history[2].sequence, history[2].follows) == (3, 1)


def test_an_activation_takes_effect_after_the_one_before_it():
    history = activated([], "scheduled", effective=day(5), recorded=day(1))

    with pytest.raises(VersionConflict, match=r"scheduled.*too-early"):
        activated(history, "too-early", effective=day(5), recorded=day(2))


def test_an_instant_has_a_time_zone():
    with pytest.raises(ValueError, match="time zone"):
        AsOf(datetime(2026, 3, 3))


@given(histories(), _MOMENTS, _MOMENTS)
def test_at_any_instant_one_version_is_in_force_from_the_first_on(history, valid, known):
    believed = [a for a in history if a.recorded_time <= known and (a.revoked_time is None or a.revoked_time > known)]
    governing = [
        a
        for a in believed
        if a.effective_time <= valid and not any(a.effective_time < b.effective_time <= valid for b in believed)
    ]

    assert len(governing) == (1 if any(a.effective_time <= valid for a in believed) else 0)
    assert in_force(history, AsOf(valid, known)) == (governing[0] if governing else None)


@given(histories(), _MOMENTS, _MOMENTS)
def test_later_knowledge_does_not_change_what_was_known(history, valid, known):
    later = activated(history, "later", effective=NOON + 100 * DAY, recorded=NOON + 100 * DAY)

    assert version_at(later, valid, known) == version_at(history, valid, known)
