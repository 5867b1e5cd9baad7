"""What compliance and the records officer do with the log by `evenkeel`, against the running services."""

import json
from pathlib import Path

import pytest

from tests.support.keyboard import Keyboard
from tests.support.systems import ASKED, on

pytestmark = on(ASKED)

CLASSES = Path(__file__).parents[2] / "docs" / "examples" / "records" / "retention-classes.yaml"
REASON = ("--reason", "SEC request 12")


@pytest.fixture(scope="module")
def evenkeel(asked_system):
    """Type a command: `await evenkeel("audit", "list")`."""
    directory = asked_system.stack.directory
    return Keyboard(directory, {"EVENKEEL_PROFILE": str(directory / "profile.toml")})


async def done(evenkeel, *words):
    """Type a command that must succeed, and return what it says."""
    typed = await evenkeel(*words)
    assert typed.code == 0, (words, typed.out, typed.err)
    return typed


async def test_classes_are_proposed_by_one_person_and_approved_by_another(evenkeel):
    proposals = (await done(evenkeel, "--json", "records", "propose-classes", str(CLASSES), *REASON)).json
    first, second = (each["proposal_id"] for each in proposals[:2])

    waiting = await done(evenkeel, "--json", "records", "proposals", "--open")
    await done(evenkeel, "records", "approve", first)
    await done(evenkeel, "records", "reject", second, "--comment", "Six years are not ours.")

    assert {first, second} <= {each["proposal_id"] for each in waiting.json["proposals"]}
    assert [
        each["class_id"] for each in (await done(evenkeel, "--json", "records", "classes")).json["retention_classes"]
    ] == ["sec-204-2"]
    decided = (await done(evenkeel, "--json", "audit", "approvals", "--log", "records")).json["approvals"]
    assert all(each["independent"] for each in decided)


@pytest.mark.parametrize(("text", "says"), [(": : [", "is not YAML"), ("hello", "must be a list of retention classes")])
async def test_a_file_that_has_no_classes_is_refused_in_words(evenkeel, tmp_path, text, says):
    (tmp_path / "classes.yaml").write_text(text)

    refused = await evenkeel("records", "propose-classes", str(tmp_path / "classes.yaml"), *REASON)

    assert (refused.code, "Traceback" in refused.err) == (2, False)
    assert says in " ".join(refused.err.split())


async def test_a_hold_is_placed_at_once_and_ends_by_two(evenkeel):
    placed = (
        await done(evenkeel, "--json", "records", "hold", "Case 7", "--about", "account=account-00001", *REASON)
    ).json
    hold_id = placed["hold"]["hold_id"]
    (entry,) = (
        await done(evenkeel, "--json", "audit", "list", "--about", "account=account-00001", "--count", "1")
    ).json["entries"]

    kept = (await done(evenkeel, "--json", "records", "retention", str(entry["index"]))).json
    erased = await evenkeel("records", "erase", "account=account-00001", *REASON)
    ended = (await done(evenkeel, "--json", "records", "release", hold_id, *REASON)).json
    await done(evenkeel, "records", "approve", ended["proposal"]["proposal_id"])

    # Others may hold it too: the services are all tests'.
    assert hold_id in [each["hold_id"] for each in kept["holds"]]
    assert erased.code != 0
    assert hold_id not in (await done(evenkeel, "records", "holds")).out
    assert hold_id in (await done(evenkeel, "--json", "records", "holds", "--released")).out


async def test_a_partition_that_is_not_full_is_listed_and_not_destroyed(evenkeel):
    (first, *_) = (await done(evenkeel, "--json", "records", "partitions")).json["partitions"]

    refused = await evenkeel("records", "dispose", "0", str(first["stop_index"]), *REASON)

    assert refused.code != 0


async def test_parts_of_the_log_are_exported_mirrored_and_checked_offline(evenkeel, tmp_path):
    part, whole = tmp_path / "part", tmp_path / "whole"
    await done(evenkeel, "audit", "export", str(part), "--kind", "policy.*", "--csv", "--text", *REASON)
    await done(evenkeel, "audit", "mirror", str(whole))
    for folder in (part, whole):
        await done(evenkeel, "audit", "check", str(folder))

    lines = (part / "entries.jsonl").read_text().splitlines()
    assert {json.loads(line)["kind"].partition(".")[0] for line in lines} == {"policy"}
    lines[0] = lines[0].replace("policy.", "policz.", 1)
    (part / "entries.jsonl").write_text("\n".join(lines) + "\n")
    assert (await evenkeel("audit", "check", str(part))).code == 1


async def test_reports_producers_witnesses_and_logs_are_shown(evenkeel, tmp_path):
    names = [each["name"] for each in (await done(evenkeel, "--json", "audit", "reports")).json["reports"]]
    await done(evenkeel, "audit", "report", "access", "--csv", str(tmp_path / "access.csv"))

    assert {"order-memorandum", "mifid-transactions", "cat-linkage", "evidence-pack"} <= set(names)
    assert "carl.compliance" in (tmp_path / "access.csv").read_text()
    assert "Witnesses of events" in (await done(evenkeel, "audit", "witnesses")).out
    assert "access" in (await done(evenkeel, "audit", "logs")).out
    # Its exit code says whether one is silent, which a slow machine may be.
    assert "execution" in (await evenkeel("audit", "producers")).out


async def test_what_cannot_be_done_or_proven_is_said_in_words(evenkeel, tmp_path):
    part = tmp_path / "part"
    await done(evenkeel, "audit", "export", str(part), "--kind", "policy.*", *REASON)
    logs = {each["name"]: each for each in (await done(evenkeel, "--json", "audit", "logs")).json["logs"]}
    for words, code, says in (
        (("export", str(part)), 1, f"must be a new or empty folder, {part} has entries.jsonl"),
        (("verify", "--key", "bad"), 1, "must be one as C2SP writes it, was bad"),
        (("verify", "--key", logs["access"]["verifier_key"]), 1, "NOT PROVEN no key that is known signed the note"),
        (("report", "access", "--csv", str(tmp_path / "none" / "x.csv")), 1, "x.csv: No such file or directory"),
        (("list", "--kind", "Bad Kind"), 1, "filter.kind"),
        (("list", "--from", "2026-02-01", "--to", "2026-01-01"), 1, "must be after start_time"),
        (("story", "plan-05375e14"), 2, "plan=plan-05375e14"),
        (("tail", "--start", "3", "--new"), 2, "two different beginnings"),
    ):
        typed = await evenkeel("audit", *words)
        assert (typed.code, "Traceback" in typed.err) == (code, False), (words, typed.err)
        assert says in " ".join(typed.err.split()), (words, typed.err)


async def test_proofs_and_records_are_checked_by_their_file_alone(evenkeel, tmp_path):
    await done(evenkeel, "audit", "prove", "3", "--to", str(tmp_path))
    await done(evenkeel, "audit", "record", "account-00002", "--file", str(tmp_path / "record.json"))
    proof, record = tmp_path / "3.tlog-proof", tmp_path / "record.json"

    for file in (proof, record):
        assert "policy.txt" in (await done(evenkeel, "audit", "check", str(file))).err
    (tmp_path / "policy.txt").rename(tmp_path / "ours.txt")
    unsure = await evenkeel("audit", "check", str(record))
    own = await done(evenkeel, "audit", "check", str(record), "--policy", str(tmp_path / "ours.txt"))
    proof.with_suffix(".json").write_bytes(b"{}")
    bent = await evenkeel("audit", "check", str(proof), "--policy", str(tmp_path / "ours.txt"))

    assert (unsure.code, "--policy" in unsure.err) == (2, True)
    assert own.err == ""
    assert (bent.code, bent.out) == (1, "NOT PROVEN  proof: the record is not entry 3 of evenkeel.local/log\n")


async def test_a_name_that_is_written_wrongly_is_told_from_one_of_which_nothing_happened(evenkeel):
    never = await done(evenkeel, "audit", "record", "acount-00001")
    early = await done(evenkeel, "audit", "record", "account-00001", "--to", "2026-01-01")
    listed = await done(evenkeel, "audit", "list", "--about", "acount=account-00001")
    held = await done(evenkeel, "records", "hold", "Case 8", "--about", "acount=account-00001", *REASON)
    found = await done(evenkeel, "records", "hold", "Case 9", "--about", "account=account-00001", *REASON)

    assert "no entry of the log is about account acount-00001" in never.out
    assert "never named" not in early.out
    assert "no entry matches" in listed.out
    assert ("covers nothing yet" in held.err, found.err) == (True, "")
