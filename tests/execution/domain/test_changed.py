"""A changed record is what `dataclasses.replace` makes of it, and nothing else passes."""

from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from services.execution.domain.changed import changed, maker


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    x: int

    def __post_init__(self):
        if self.x < 0:
            raise ValueError("x must be at least 0")


@dataclass(frozen=True)
class Loose:
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Listed:
    x: int
    seen: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Single:
    x: int = 1


def test_it_is_what_replace_makes_of_it():
    before = Point(1, 2, "one")

    after = changed(before, y=3, name="two")

    assert after == replace(before, y=3, name="two")
    assert (type(after), hash(after)) == (Point, hash(Point(1, 3, "two")))
    assert before == Point(1, 2, "one")
    with pytest.raises(FrozenInstanceError):
        after.x = 5


def test_what_has_no_such_field_is_refused():
    with pytest.raises(TypeError, match="Point has no field z"):
        changed(Point(1), z=3)


def test_a_record_that_checks_its_values_is_not_copied_past_its_check():
    with pytest.raises(TypeError, match="checks its values"):
        changed(Checked(1), x=-1)


def test_a_record_with_a_dictionary_is_refused():
    with pytest.raises(TypeError, match="must have a slot for each field"):
        changed(Loose(1, 2), x=2)


@pytest.mark.parametrize(("given", "named"), [((1, 2, "one"), {}), ((1,), {"name": "one"}), ((), {"x": 1})])
def test_a_maker_makes_what_the_class_makes(given, named):
    made = maker(Point)(*given, **named)

    assert made == Point(*given, **named)
    assert (type(made), hash(made)) == (Point, hash(Point(*given, **named)))
    with pytest.raises(FrozenInstanceError):
        made.x = 5
    with pytest.raises(TypeError):
        maker(Point)(*given, **named, z=3)


def test_a_record_of_one_field_is_made_and_changed():
    assert maker(Single)() == Single()
    assert changed(Single(1), x=2) == Single(2)


@pytest.mark.parametrize("kind", [Checked, Loose, Listed])
def test_no_maker_goes_past_what_a_class_does_when_one_is_made(kind):
    with pytest.raises(TypeError, match=kind.__name__):
        maker(kind)
