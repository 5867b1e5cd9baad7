"""A restore that lost published entries: the old origin never signs again, a new one goes on and says from where."""

import pytest

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub
from services.audit.app import scrub
from services.audit.config import continued_key
from services.audit.domain.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from services.audit.domain.continuing import CONTINUED_KIND
from services.audit.domain.signed_note import NoteInvalid, SigningKey
from services.audit.store import PostgresContents
from tests.audit.api.conftest import message_of, started
from tests.audit.builders import KEY, some_events

NEW = SigningKey("audit.example/events.2", KEY.private_key)


async def append(whole, count, name):
    stub = AuditServiceStub(whole.channel("decision_service", subject="decision"))
    return await stub.Append(pb.AppendRequest(events=map(message_of, some_events(count, name))))


@pytest.fixture
def last_published(tmp_path):
    """The old origin's last checkpoint, as a witness has it: over entries that were lost."""
    file = tmp_path / "last.note"
    file.write_text(sign_checkpoint(Checkpoint(KEY.name, 9, b"r" * 32), [KEY]))
    return file


async def test_a_restored_log_goes_on_under_a_new_origin_that_names_the_old_ones_last_checkpoint(
    audit_settings, tmp_path, last_published
):
    async with started(audit_settings, tmp_path) as whole:
        await append(whole, 5, "before")
    settings = {
        "log_origin": NEW.name,
        "log_continues": str(KEY.verifier_key),
        "log_continues_checkpoint_file": last_published,
    }

    async with started(audit_settings, tmp_path, **settings) as whole:
        answer = await append(whole, 3, "after")
        reader = whole.reader()
        bodies = [await reader.body(index) for index in range(9)]
        contents = PostgresContents(whole.assembled.database)
        report = await scrub(contents, NEW.name, [NEW.verifier_key], continues=KEY.verifier_key)
        # What is not a continuation is still found.
        strict = await scrub(contents, NEW.name, [NEW.verifier_key])
    # A second start finds the new origin and says nothing again.
    async with started(audit_settings, tmp_path, **settings) as whole:
        again = await append(whole, 1, "again")

    assert [result.index for result in answer.results] == [6, 7, 8]
    assert open_checkpoint(answer.checkpoint.note, origin=NEW.name, keys=[NEW.verifier_key]).size == 9
    (continued,) = [body for body in bodies if CONTINUED_KIND.encode() in body]
    assert bodies.index(continued) == 5
    assert last_published.read_text().split("\n")[2] in continued.decode()
    assert (report.finding_count, report.size) == (0, 9)
    assert strict.finding_count > 0
    assert [result.index for result in again.results] == [9]


async def test_a_checkpoint_of_another_log_cannot_be_named_as_the_last_one(audit_settings, tmp_path, last_published):
    last_published.write_text(sign_checkpoint(Checkpoint(NEW.name, 9, b"r" * 32), [NEW]))
    settings = {
        "log_origin": NEW.name,
        "log_continues": str(KEY.verifier_key),
        "log_continues_checkpoint_file": last_published,
    }

    with pytest.raises(NoteInvalid):
        async with started(audit_settings, tmp_path, **settings):
            pass


async def test_logs_whose_origins_follow_that_of_events_continue_with_it(audit_settings):
    settings = audit_settings(log_origin=NEW.name, log_continues=str(KEY.verifier_key))

    assert continued_key(settings) == KEY.verifier_key
    assert continued_key(settings, "access") == KEY.derived(f"{KEY.name}/access").verifier_key
    assert continued_key(audit_settings()) is None
