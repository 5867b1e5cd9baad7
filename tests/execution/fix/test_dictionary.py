"""Our tables beside those that QuickFIX ships: the same facts, in another arrangement."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from services.execution.fix.protocol.dictionary import fix_4_4, fix_5_0_sp2

PEERS = Path(sys.prefix) / "share" / "quickfix"
# Its wheel exists for one Python only; see pyproject.toml.
pytestmark = pytest.mark.skipif(not PEERS.exists(), reason="QuickFIX is not installed for this Python")

VERSIONS = [(fix_4_4, ["FIX44.xml"]), (fix_5_0_sp2, ["FIX50SP2.xml", "FIXT11.xml"])]
# Where QuickFIX's files and the specification differ, we follow the specification.
TYPES = {"MULTIPLEVALUESTRING": "MULTIPLESTRINGVALUE"}
NOT_VALUES = {"VALUE1/32"}
# Symbol is required wherever an Instrument is (FIX 4.4 volume 1, component block Instrument).
REQUIRED_BY_US = {55}


def parsed(files):
    return [ET.parse(PEERS / file).getroot() for file in files]


@pytest.mark.parametrize(("ours", "files"), VERSIONS)
def test_fields_have_the_same_names_types_and_values(ours, files):
    theirs = {int(each.get("number")): each for root in parsed(files) for each in root.find("fields")}
    fields = ours().fields

    assert {tag: each.get("name") for tag, each in theirs.items()}.items() <= {
        tag: field.name for tag, field in fields.items()
    }.items()
    differing = [
        tag
        for tag, each in theirs.items()
        if TYPES.get(each.get("type"), each.get("type")) != TYPES.get(fields[tag].kind, fields[tag].kind)
    ]
    assert differing == []
    for tag, each in theirs.items():
        values = {value.get("enum").strip().encode() for value in each.findall("value")} - {
            value.encode() for value in NOT_VALUES
        }
        if values and fields[tag].kind != "BOOLEAN":
            assert fields[tag].values == values, fields[tag].name


def levels(element, components, tags):
    """Yield the fields of an element, components in place, as tag, required, and the group behind it."""
    for each in element:
        if each.tag == "component":
            inner = levels(components[each.get("name")], components, tags)
            needed = each.get("required") == "Y"
            yield from [(tag, required and needed, group) for tag, required, group in inner]
        else:
            group = list(levels(each, components, tags)) if each.tag == "group" else None
            yield tags[each.get("name")], each.get("required") == "Y", group


def compare(members, theirs, where):
    assert set(members.places) == {tag for tag, _, _ in theirs}, where
    missing = {tag for tag, required, _ in theirs if required} - set(members.required)
    assert missing == set(), where
    assert set(members.required) - {tag for tag, required, _ in theirs if required} <= REQUIRED_BY_US, where
    for tag, _, group in theirs:
        assert (tag in members.groups) == (group is not None), (where, tag)
        if group is not None:
            compare(members.groups[tag], group, f"{where}.{tag}")
            assert list(members.groups[tag].places) == [inner for inner, _, _ in group], (where, tag)


@pytest.mark.parametrize(("ours", "files"), VERSIONS)
def test_messages_have_the_same_members_groups_and_required_fields(ours, files):
    dictionary = ours()
    compared = set()
    roots = parsed(files)
    tags = {each.get("name"): int(each.get("number")) for root in roots for each in root.find("fields")}
    components = {each.get("name"): each for root in roots for each in root.find("components")}
    for root in roots:
        for each in root.find("messages"):
            if (kind := dictionary.messages.get(each.get("msgtype"))) is not None:
                compare(kind.members, list(levels(each, components, tags)), kind.name)
                assert kind.name == each.get("name")
                compared.add(kind.msg_type)

    assert compared == set(dictionary.messages)


@pytest.mark.parametrize(("ours", "files"), VERSIONS)
def test_the_version_has_the_same_message_types(ours, files):
    theirs = {each.get("msgtype") for root in parsed(files) for each in root.find("messages")}

    # FIXT 1.1 has XMLnonFIX (n); QuickFIX's file leaves it out.
    assert ours().types - theirs <= {"n"}
    assert theirs <= ours().types
