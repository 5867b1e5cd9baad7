"""Who is at the other end? Mutual TLS, and which CompIDs a certificate may speak for."""

import ssl
from pathlib import Path


def server_context(certificate: Path, key: Path, authorities: Path) -> ssl.SSLContext:
    """Return TLS for an acceptor: clients must show a certificate that one of `authorities` signed.

    Args:
        certificate: Our chain, PEM.
        key: Its private key, PEM.
        authorities: Who signs counterparties' certificates, PEM; nobody else is trusted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authorities)
    context.load_cert_chain(certificate, key)
    return context


def client_context(certificate: Path | None, key: Path | None, authorities: Path) -> ssl.SSLContext:
    """Return TLS for an initiator: the server's name is checked, and our certificate shown where there is one.

    Args:
        certificate: Our chain, PEM; None where the counterparty asks for none.
        key: Its private key, PEM.
        authorities: Who signs the counterparty's certificate, PEM; nobody else is trusted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(authorities)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def names(peer: object) -> frozenset[str]:
    """Return the names in a verified certificate, as `ssl` shows it: DNS and URI alternatives, and the common name."""
    if not isinstance(peer, dict):
        return frozenset()
    found = {str(name) for kind, name in peer.get("subjectAltName", ()) if kind in ("DNS", "URI")}
    for part in peer.get("subject", ()):
        found |= {str(value) for key, value in part if key == "commonName"}
    return frozenset(found)
