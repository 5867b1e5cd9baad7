"""A small witness for audit logs, to be run by somebody else than the log's operator.

    python -m tools.witness key --name witness.example/w1 --key-file w1.key
    python -m tools.witness serve --name witness.example/w1 --key-file w1.key --log <log's public key> --port 8686

`key` makes the key when it is not there, and prints the public one, which goes to the log and to whoever verifies.
`serve` signs each checkpoint that continues what it has signed before (C2SP tlog-witness), and keeps what it signed in
a file.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.domain.cosignature import Cosigner
from services.audit.domain.signed_note import VerifierKey
from services.kernel.signing import read_private_key
from tools.witness.server import make_server
from tools.witness.state import WitnessState


def _cosigner(name: str, file: Path) -> Cosigner:
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(
            Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return Cosigner(name, read_private_key(file.read_bytes()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.witness", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("key", "serve"):
        command = commands.add_parser(name)
        command.add_argument("--name", required=True, help="of the witness, such as witness.example/w1")
        command.add_argument("--key-file", required=True, type=Path, help="its Ed25519 private key, PEM")
        if name == "serve":
            command.add_argument("--log", required=True, action="append", help="public key of a log; may be repeated")
            command.add_argument("--state", type=Path, default=Path("witness.sqlite"), help="what it has signed")
            command.add_argument("--host", default="127.0.0.1")
            command.add_argument("--port", type=int, default=8686)
    given = parser.parse_args(arguments)
    cosigner = _cosigner(given.name, given.key_file)
    if given.command == "key":
        sys.stdout.write(f"{cosigner.key}\n")
        return 0
    known: dict[str, list[VerifierKey]] = {}
    for line in given.log:
        key = VerifierKey.parse(line)
        known.setdefault(key.name, []).append(key)
    state = WitnessState(given.state, known)
    server = make_server((given.host, given.port), state, cosigner, time.time)
    sys.stdout.write(f"witness {cosigner.key} at http://{given.host}:{server.server_port}\n")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
        state.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
