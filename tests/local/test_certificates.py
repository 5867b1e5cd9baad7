"""Certificates of the development authority, and the files they are in."""

import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from tools.local.certificates import CERTIFICATE_LIFETIME, REMAINING_MIN, Authority

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path):
    return Authority.at(tmp_path, now=NOW)


def certificate(issued):
    return x509.load_pem_x509_certificate(issued.certificate_file.read_bytes())


def test_a_certificate_names_this_machine_and_its_workload(authority):
    names = certificate(authority.issue("policy", now=NOW)).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )

    assert names.value.get_values_for_type(x509.DNSName) == ["localhost"]
    assert "127.0.0.1" in [str(address) for address in names.value.get_values_for_type(x509.IPAddress)]
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://evenkeel.local/policy"]


def test_a_certificate_is_signed_by_its_authority_and_trusted_by_tls(authority):
    issued = authority.issue("policy", now=NOW)

    context = ssl.create_default_context(cafile=authority.certificate_file)
    context.load_cert_chain(issued.certificate_file, issued.private_key_file)
    root = x509.load_pem_x509_certificate(authority.certificate_file.read_bytes())
    certificate(issued).verify_directly_issued_by(root)


def test_only_its_owner_reads_a_private_key(authority, tmp_path):
    issued = authority.issue("policy", now=NOW)

    for file in (issued.private_key_file, tmp_path / "ca.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_certificate_is_kept_until_little_of_its_life_is_left(authority):
    first = certificate(authority.issue("policy", now=NOW))
    nearly_over = NOW + CERTIFICATE_LIFETIME - REMAINING_MIN

    assert certificate(authority.issue("policy", now=nearly_over - timedelta(seconds=1))) == first
    assert certificate(authority.issue("policy", now=nearly_over)) != first


def test_an_authority_is_found_again(authority, tmp_path):
    first = certificate(authority.issue("policy", now=NOW))

    assert certificate(Authority.at(tmp_path, now=NOW).issue("policy", now=NOW)) == first


def test_a_new_authority_issues_anew(authority, tmp_path):
    first = certificate(authority.issue("policy", now=NOW))
    (tmp_path / "ca.key").unlink()

    assert certificate(Authority.at(tmp_path, now=NOW).issue("policy", now=NOW)) != first
