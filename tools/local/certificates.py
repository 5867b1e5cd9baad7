"""A certificate authority for one machine: mutual TLS between the services from the first `make demo` on.

Its certificates are for development. In a cluster, cert-manager issues them; the services only see files.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tools.local import files

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
# NIST SP 800-57 part 1, table 2: enough until 2030. The exponent is everybody's.
RSA_BITS, RSA_EXPONENT = 2048, 65537

TRUST_DOMAIN = "evenkeel.local"
AUTHORITY_LIFETIME = timedelta(days=365)
CERTIFICATE_LIFETIME = timedelta(days=30)
# A certificate with less left is issued anew.
REMAINING_MIN = timedelta(days=7)
# Clocks of one machine's processes agree, but a certificate is often used in the second it is made.
BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, as PEM files."""

    certificate_file: Path
    private_key_file: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Issues certificates that all services of this machine trust."""

    directory: Path
    _key: ec.EllipticCurvePrivateKey
    _certificate: x509.Certificate

    @classmethod
    def at(cls, directory: Path, *, now: datetime | None = None) -> Self:
        """Return the authority that keeps its key in `directory`; a new one when there is none or it soon expires."""
        now = now or datetime.now(UTC)
        key_file, certificate_file = directory / "ca.key", directory / "ca.pem"
        if key_file.exists() and certificate_file.exists():
            found = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
            if found.not_valid_after_utc - now > CERTIFICATE_LIFETIME and isinstance(key, ec.EllipticCurvePrivateKey):
                return cls(directory, key, found)
        return cls._new(directory, now)

    @property
    def certificate_file(self) -> Path:
        """What others need to trust the certificates issued here."""
        return self.directory / "ca.pem"

    def issue(self, name: str, *, now: datetime | None = None, rsa_key: bool = False) -> Certificate:
        """Return a certificate for the workload `name`, valid for servers and clients on this machine.

        The one issued before stays while it was issued by this authority and has more than `REMAINING_MIN` left.

        Args:
            name: Of the workload.
            now: From when on it is valid; the computer's time when None.
            rsa_key: For those who know no elliptic curves; QuickFIX does not.
        """
        now = now or datetime.now(UTC)
        issued = Certificate(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        if self._still_good(issued, now):
            return issued
        key: PrivateKey = rsa.generate_private_key(RSA_EXPONENT, RSA_BITS) if rsa_key else _new_key()
        alternatives: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
            x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}/{name}"),
        ]
        certificate = (
            _builder(name, self._certificate.subject, key, now, CERTIFICATE_LIFETIME)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        files.write(issued.private_key_file, _pem(key))
        files.write(issued.certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
        return issued

    @classmethod
    def _new(cls, directory: Path, now: datetime) -> Self:
        key = _new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Evenkeel development authority")])
        certificate = (
            _builder("Evenkeel development authority", subject, key, now, AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        files.write(directory / "ca.key", _pem(key))
        files.write(directory / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM))
        return cls(directory, key, certificate)

    def _still_good(self, issued: Certificate, now: datetime) -> bool:
        if not (issued.certificate_file.exists() and issued.private_key_file.exists()):
            return False
        certificate = x509.load_pem_x509_certificate(issued.certificate_file.read_bytes())
        mine = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        theirs = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        return theirs == mine and certificate.not_valid_after_utc - now > REMAINING_MIN


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _builder(
    name: str, issuer: x509.Name, key: PrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
