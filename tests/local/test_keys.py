"""Signing keys are made once, and what is published checks what they sign."""

from pathlib import Path

from services.audit.domain.signed_note import VerifierKey
from services.kernel.signing import read_private_key, read_public_key, sign, verify
from tools.local import keys


def test_keys_are_made_once(tmp_path):
    assert keys.prepare(tmp_path) == keys.prepare(tmp_path)


def test_execution_trusts_what_decision_signs(tmp_path):
    settings = keys.prepare(tmp_path).settings
    private = read_private_key(Path(settings["decision"]["PLAN_KEY_FILE"]).read_bytes())
    trusted = {
        file.stem: read_public_key(file.read_bytes())
        for file in Path(settings["execution"]["PLAN_KEYS_DIRECTORY"]).iterdir()
    }

    verify(trusted, b"a plan", sign(private, b"a plan", settings["decision"]["PLAN_KEY_ID"]))


def test_the_logs_verifier_key_checks_what_audit_signs(tmp_path):
    prepared = keys.prepare(tmp_path)
    private = read_private_key(Path(prepared.settings["audit"]["LOG_KEY_FILE"]).read_bytes())
    verifier = VerifierKey.parse(prepared.log_verifier_key)

    assert verifier.name == prepared.settings["audit"]["LOG_ORIGIN"]
    assert verifier.signed("a checkpoint\n", private.sign(b"a checkpoint\n"))
    assert not verifier.signed("another\n", private.sign(b"a checkpoint\n"))
