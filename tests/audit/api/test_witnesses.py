"""The service and real witnesses: what they sign, who is not waited for, and a log that may not go on."""

import threading
import time

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evenkeel.audit.v1 import audit_service_pb2 as log_pb
from evenkeel.audit.v1 import witness_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub
from evenkeel.audit.v1.witness_service_pb2_grpc import WitnessServiceStub
from services.audit.config import WitnessSettings, signing_keys
from services.audit.domain.checkpoint import Checkpoint, sign_checkpoint
from services.audit.domain.cosignature import Cosigner
from services.audit.domain.witness import AddCheckpoint
from tests.audit.api.conftest import message_of, started
from tests.audit.api.test_audit_service import refused, until
from tests.audit.builders import KEY, some_events
from tests.support.telemetry import record
from tools.verifier import audit_verify
from tools.witness.server import make_server
from tools.witness.state import WitnessState


class RunningWitness:
    """A witness of ours, in a thread."""

    def __init__(self, number, directory, known):
        self.cosigner = Cosigner(
            f"witness.example/w{number}", Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        )
        self.state = WitnessState(directory / f"witness-{number}.sqlite", known)
        self.server = make_server(("127.0.0.1", 0), self.state, self.cosigner, time.time)
        self.settings = WitnessSettings(key=str(self.cosigner.key), url=f"http://127.0.0.1:{self.server.server_port}")
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.state.close()


@pytest.fixture
def witnesses(audit_settings, tmp_path):
    known = {key.name: [key.verifier_key] for key in signing_keys(audit_settings()).values()}
    running = [RunningWitness(number, tmp_path, known) for number in (1, 2, 3)]
    yield running
    for each in running:
        each.close()


def the_dead(number=9):
    """A witness that never answers."""
    key = Cosigner("witness.example/dead", Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)).key
    return WitnessSettings(key=str(key), url="http://127.0.0.1:1")


async def append(whole, count, name):
    stub = AuditServiceStub(whole.channel("decision_service", subject="decision"))
    return await stub.Append(log_pb.AppendRequest(events=map(message_of, some_events(count, name))))


async def test_checkpoints_are_signed_by_witnesses_and_the_offline_verifier_asks_for_them(
    audit_settings, tmp_path, witnesses
):
    settings = [each.settings for each in witnesses] + [the_dead()]
    async with started(
        audit_settings, tmp_path, witnesses=settings, witness_quorum=2, witness_interval_s=0.05
    ) as whole:
        for number in range(3):
            await append(whole, 20, f"batch {number}")
        asking = WitnessServiceStub(whole.channel("compliance_officer", subject="carl"))
        own = whole.assembled.opened["events"].witnesses
        await until(lambda: sum(each.held_size == 60 for each in own.standings.values()) == 3)
        # Sizes are noted before the signatures are stored.
        for _ in range(5_000):
            answer = await asking.GetWitnessedCheckpoint(pb.GetWitnessedCheckpointRequest())
            if (answer.checkpoint.size, len(answer.witnesses)) == (60, 3):
                break
        listed = (await asking.ListWitnesses(pb.ListWitnessesRequest())).witnesses
        age_s = await whole.assembled.opened["events"].witnesses.age_s()

    assert answer.checkpoint.size == 60
    assert (list(answer.witnesses), answer.quorum) == ([each.cosigner.name for each in witnesses], 2)
    assert 0 <= age_s < 30
    assert {each.name: (each.seen_size, bool(each.trouble)) for each in listed} == {
        "witness.example/dead": (0, True),
        "witness.example/w1": (60, False),
        "witness.example/w2": (60, False),
        "witness.example/w3": (60, False),
    }
    names = [f"w{number}" for number in (1, 2, 3)]
    lines = [f"witness {name} {each.settings.key}" for name, each in zip(names, witnesses, strict=True)]
    policy = audit_verify.read_policy(
        "\n".join([f"log {KEY.verifier_key}", *lines, f"group all {len(names)} {' '.join(names)}", "quorum all"])
    )
    assert audit_verify.open_checkpoint(answer.checkpoint.note, policy).size == 60


async def test_appends_do_not_wait_for_witnesses_that_are_away_and_their_silence_is_an_alarm(audit_settings, tmp_path):
    recorded = record()
    async with started(
        audit_settings,
        tmp_path,
        witnesses=[
            the_dead(8),
        ],
        witness_interval_s=0.05,
        witness_age_s_max=0.1,
    ) as whole:
        answer = await append(whole, 5, "batch")
        asking = WitnessServiceStub(whole.channel("compliance_officer", subject="carl"))
        async with refused(grpc.StatusCode.NOT_FOUND, "LOG_UNWITNESSED"):
            await asking.GetWitnessedCheckpoint(pb.GetWitnessedCheckpointRequest())
        # Though none of them ever signed anything.
        await until(lambda: ({"log": "events"}, 1.0) in recorded.points("evenkeel.audit.witness.late"))

    assert answer.checkpoint.size == 5
    ages = [age_s for labels, age_s in recorded.points("evenkeel.audit.witness.age") if labels == {"log": "events"}]
    assert ages[0] > 0.1


async def test_a_log_that_lost_what_a_witness_has_seen_signs_nothing_more(audit_settings, tmp_path, witnesses):
    witness = witnesses[0]
    settings = {"witnesses": [witness.settings], "witness_interval_s": 0.05}
    async with started(audit_settings, tmp_path, **settings) as whole:
        await append(whole, 5, "batch")
        await until(lambda: witness.state.held(KEY.name) is not None and witness.state.held(KEY.name).size == 5)
    # The witness has seen more than what is stored: as after a restore to an earlier point.
    ahead = Checkpoint(KEY.name, 9, b"r" * 32)
    witness.state._database.execute("update held set size = '9', root = ? where origin = ?", (ahead.root, KEY.name))

    async with started(audit_settings, tmp_path, await_held=False, **settings) as whole:
        stub = AuditServiceStub(whole.channel("decision_service", subject="decision"))
        async with refused(grpc.StatusCode.DATA_LOSS, "LOG_BEHIND_WITNESS"):
            await stub.Append(log_pb.AppendRequest(events=map(message_of, some_events(2, "more"))))
        reader = whole.reader()
        assert (await reader.checkpoint()).checkpoint.size == 5


async def test_a_witness_that_says_so_later_stops_the_log_as_well(audit_settings, tmp_path, witnesses):
    witness = witnesses[0]
    settings = {"witnesses": [witness.settings], "witness_interval_s": 0.05}
    async with started(audit_settings, tmp_path, **settings) as whole:
        await append(whole, 5, "batch")
        await until(lambda: witness.state.held(KEY.name) is not None and witness.state.held(KEY.name).size == 5)
        # Somebody else, who has the log's key, showed the witness another history.
        fork = Checkpoint(KEY.name, 30, b"f" * 32)
        witness.state._database.execute("update held set size = '30', root = ? where origin = ?", (fork.root, KEY.name))
        await append(whole, 1, "one more")
        stub = AuditServiceStub(whole.channel("decision_service", subject="decision"))
        sequencer = whole.assembled.opened["events"].sequencer
        await until(lambda: sequencer._bent is not None)
        async with refused(grpc.StatusCode.DATA_LOSS, "LOG_BEHIND_WITNESS"):
            await stub.Append(log_pb.AppendRequest(events=map(message_of, some_events(2, "more"))))


async def test_a_witness_keeps_what_it_signed_over_its_end(tmp_path, witnesses):
    known = {KEY.name: [KEY.verifier_key]}
    state = WitnessState(tmp_path / "kept.sqlite", known)
    note = sign_checkpoint(Checkpoint(KEY.name, 3, b"r" * 32), [KEY])
    state.take(AddCheckpoint(0, (), note).text())
    state.close()

    again = WitnessState(tmp_path / "kept.sqlite", known)
    assert again.held(KEY.name) == Checkpoint(KEY.name, 3, b"r" * 32)
    again.close()


async def test_a_process_may_be_told_to_wait_for_witnesses_before_it_signs(audit_settings, tmp_path, witnesses):
    settings = {"witnesses": [the_dead(7)], "witness_answers_min": 1, "election_interval_s": 0.05}
    async with started(audit_settings, tmp_path, await_held=False, **settings) as whole:
        async with refused(grpc.StatusCode.UNAVAILABLE, "LOG_WRITER_ELSEWHERE"):
            await append(whole, 1, "never")
        assert not whole.assembled.opened["events"].sequencer.writing
