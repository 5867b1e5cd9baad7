"""Checks an exported audit log, or one record's proof, offline: with a policy file, and no trust in whoever made them.

    python audit_verify.py POLICY BUNDLE                    # a folder: checkpoint and tile/…
    python audit_verify.py POLICY PROOF.tlog-proof RECORD   # one record, as it was exported

Needs Python 3.11 and the package `cryptography`; copy this one file wherever you like. It shares no code with the log.
Ends with 0 when everything is proven, with 1 when something is not (and says what), with 2 when it was called wrongly.

Formats: C2SP signed-note, tlog-checkpoint, tlog-cosignature (Ed25519), tlog-tiles, tlog-proof, tlog-policy; hashes as
in RFC 6962. A bundle's entries are checked further: they are numbered without a gap, each account's entries are too,
no event stands twice, and no entry was recorded before the one that precedes it.
"""

import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PROVEN, REFUSED, MISUSED = 0, 1, 2

ED25519, COSIGNATURE = 0x01, 0x04
WIDTH = 256
EMPTY_ROOT = hashlib.sha256().digest()


class NotProven(Exception):
    """Something is not what it should be; the text says what."""


def refuse(what: str) -> NoReturn:
    """Say what is not proven."""
    raise NotProven(what)


# --- Hashes (RFC 6962, section 2.1) ---


def leaf_hash(record: bytes) -> bytes:
    """Return the hash of a record."""
    return hashlib.sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_hash(row: Sequence[bytes]) -> bytes:
    """Return the root over hashes: pairs are joined level by level, and one without a partner moves up."""
    if not row:
        return EMPTY_ROOT
    while len(row) > 1:
        above = [node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
        row = above + list(row[len(row) - 1 :]) if len(row) % 2 else above
    return row[0]


def root_of_path(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Return the root to which a leaf and its path lead; refuses a path of another length."""
    if not 0 <= index < size:
        refuse(f"index {index} is not in a log of {size} entries")
    computed, at, last, hashes = leaf, index, size - 1, iter(path)
    while last:
        if at % 2 or at < last:
            sibling = next(hashes, None)
            if sibling is None:
                refuse("the proof has too few hashes")
            computed = node_hash(sibling, computed) if at % 2 else node_hash(computed, sibling)
        at, last = at // 2, last // 2
    if next(hashes, None) is not None:
        refuse("the proof has hashes left over")
    return computed


# --- Keys, notes and policies (C2SP signed-note, tlog-cosignature, tlog-policy) ---


@dataclass(frozen=True)
class Key:
    """A public key, its name, and what it signs: 0x01 checkpoints, 0x04 cosignatures."""

    name: str
    algorithm: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand in its signatures."""
        return hashlib.sha256(f"{self.name}\n".encode() + bytes([self.algorithm]) + self.public).digest()[:4]

    def signed(self, text: str, signature: bytes) -> bool:
        """Return whether it signed `text`."""
        message = text.encode()
        if self.algorithm == COSIGNATURE:
            message = f"cosignature/v1\ntime {int.from_bytes(signature[:8], 'big')}\n".encode() + message
            signature = signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass
class Policy:
    """Which logs are known, and which witnesses must have seen what a log says."""

    logs: dict[str, Key] = field(default_factory=dict)
    # Says of a set of keys whether the witness or group of this name has seen the checkpoint.
    witnessed: dict[str, Callable[[set[Key]], bool]] = field(default_factory=dict)
    witnesses: list[Key] = field(default_factory=list)
    quorum: str = ""


def decoded(text: str, what: str) -> bytes:
    """Return the bytes of base64 in its one spelling."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        refuse(f"{what}: not base64")
    if base64.b64encode(raw).decode() != text:
        refuse(f"{what}: not base64 in its one spelling")
    return raw


def read_key(line: str, algorithms: Sequence[int]) -> Key:
    """Return the key of a vkey line."""
    name, _, rest = line.partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = decoded(encoded, f"key {name}")
    if len(raw) != 33 or raw[0] not in algorithms:
        refuse(f"key {name}: not an Ed25519 key for this use")
    key = Key(name, raw[0], raw[1:])
    if key.key_id.hex() != key_id:
        refuse(f"key {name}: its id is not its own")
    return key


def read_policy(text: str) -> Policy:
    """Return the policy that a file states."""
    policy = Policy()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        match words:
            case ["log", key, *_] if len(words) <= 3:
                log = read_key(key, [ED25519])
                if log.public in {each.public for each in policy.logs.values()}:
                    refuse(f"policy line {number}: this log's key stands twice")
                policy.logs[log.name] = log
            case ["witness", name, key, *_] if len(words) <= 4 and _new(policy, name):
                witness = read_key(key, [COSIGNATURE])
                if witness.public in {each.public for each in policy.witnesses}:
                    refuse(f"policy line {number}: this witness's key stands twice")
                policy.witnesses.append(witness)
                policy.witnessed[name] = _cosigned_by(witness)
            case ["group", name, needed, *members] if _new(policy, name) and members:
                policy.witnessed[name] = _group(policy, needed, members, number)
            case ["quorum", name] if not policy.quorum and (name == "none" or name in policy.witnessed):
                policy.quorum = name
            case _:
                refuse(f"policy line {number} is not one of a policy: {line}")
    if not policy.quorum:
        refuse("the policy has no quorum line")
    return policy


def _new(policy: Policy, name: str) -> bool:
    return name != "none" and name not in policy.witnessed


def _cosigned_by(witness: Key) -> Callable[[set[Key]], bool]:
    return lambda signers: witness in signers


def _group(policy: Policy, needed: str, members: list[str], number: int) -> Callable[[set[Key]], bool]:
    if len(set(members)) != len(members) or not set(members) <= policy.witnessed.keys():
        refuse(f"policy line {number}: a group's members are names above it, each once")
    count = {"any": 1, "all": len(members)}.get(needed) or (int(needed) if needed.isdecimal() else 0)
    if not 1 <= count <= len(members):
        refuse(f"policy line {number}: a group needs any, all, or 1 to {len(members)} of its members")
    tests = [policy.witnessed[member] for member in members]
    return lambda signers: sum(test(signers) for test in tests) >= count


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself, after its signatures were checked."""

    origin: str
    size: int
    root: bytes
    signers: frozenset[Key]


def open_checkpoint(note: str, policy: Policy) -> Checkpoint:
    """Return the checkpoint of a note that a known log signed and that enough witnesses saw."""
    cut = note.rfind("\n\n")
    text, block = note[: cut + 1], note[cut + 2 :]
    if cut < 0 or not block.endswith("\n") or any(ord(each) < 32 and each != "\n" for each in text):
        refuse("checkpoint: not a signed note")
    origin, size, encoded, *extensions = text.split("\n")[:-1] if text.count("\n") > 2 else ("", "", "")
    if not origin or not _is_number(size) or not all(extensions):
        refuse("checkpoint: malformed")
    root = decoded(encoded, "checkpoint: its root")
    if len(root) != len(EMPTY_ROOT):
        refuse("checkpoint: its root is not a hash")
    log = policy.logs.get(origin)
    if log is None:
        refuse(f"checkpoint: of the log {origin}, which the policy does not know")
    signers = _signers(text, block, [log, *policy.witnesses])
    if log not in signers:
        refuse(f"checkpoint: not signed by the log {origin}")
    if policy.quorum != "none" and not policy.witnessed[policy.quorum](signers):
        refuse(f"checkpoint: not seen by the witnesses that the policy asks for ({policy.quorum})")
    return Checkpoint(origin, int(size), root, frozenset(signers))


def _is_number(text: str) -> bool:
    """Return whether `text` is a number of up to 20 digits, without leading zeros."""
    return text.isascii() and text.isdecimal() and len(text) <= 20 and str(int(text)) == text


def _signers(text: str, block: str, keys: Sequence[Key]) -> set[Key]:
    known = {(key.name, key.key_id): key for key in keys}
    signers = set()
    for line in block[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\N{EM DASH}":
            refuse("checkpoint: a signature line is malformed")
        raw = decoded(parts[2], f"checkpoint: the signature by {parts[1]}")
        key = known.get((parts[1], raw[:4]))
        if key is not None:
            if not key.signed(text, raw[4:]):
                refuse(f"checkpoint: the signature by {key.name} is wrong")
            signers.add(key)
    return signers


# --- A bundle (C2SP tlog-tiles) ---


@dataclass
class Contents:
    """What the entries of a bundle say of themselves, so far."""

    size: int = 0
    event_ids: set[str] = field(default_factory=set)
    account_entries: dict[str, int] = field(default_factory=dict)
    last_time: datetime | None = None

    def add(self, record: bytes) -> None:
        """Check the next entry."""
        where = f"entry {self.size}"
        try:
            entry: dict[str, Any] = json.loads(record)
            index, sequence, event_id = entry["index"], entry["account_sequence"], entry["event_id"]
            recorded_time, account = datetime.fromisoformat(entry["recorded_time"]), entry["subjects"].get("account")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            refuse(f"{where}: not an entry of an audit log ({error!r})")
        if index != self.size:
            refuse(f"{where}: says that it is entry {index}")
        expected = 0 if account is None else self.account_entries.get(account, 0) + 1
        if sequence != expected:
            refuse(f"{where}: says that it is number {sequence} of its account, and is number {expected}")
        if event_id in self.event_ids:
            refuse(f"{where}: its event {event_id} stands in the log before")
        if self.last_time is not None and recorded_time < self.last_time:
            refuse(f"{where}: was recorded before the entry that precedes it")
        self.event_ids.add(event_id)
        if account is not None:
            self.account_entries[account] = expected
        self.last_time = recorded_time
        self.size += 1


def index_path(index: int, width: int) -> str:
    """Return the part of a path that names a tile, and how much of it there is."""
    text = f"{index:03d}" if index < 1000 else f"{index:0{-(-len(str(index)) // 3) * 3}d}"
    groups = [text[at : at + 3] for at in range(0, len(text), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]]) + (f".p/{width}" if width < WIDTH else "")


def read_file(bundle: Path, path: str) -> bytes:
    """Return a file of the bundle."""
    try:
        return (bundle / path).read_bytes()
    except OSError as error:
        refuse(f"{path}: cannot be read ({error.strerror})")


def records(bundle: Path, path: str, count: int) -> Iterator[bytes]:
    """Yield the records of a bundle of entries."""
    content, at = read_file(bundle, path), 0
    for _ in range(count):
        length = int.from_bytes(content[at : at + 2], "big")
        record = content[at + 2 : at + 2 + length]
        if at + 2 > len(content) or len(record) < length:
            refuse(f"{path}: ends within an entry")
        yield record
        at += 2 + length
    if at != len(content):
        refuse(f"{path}: goes on after its {count} entries")


def verify_bundle(policy: Policy, bundle: Path) -> str:
    """Check a whole exported log, and return what it is."""
    note = read_file(bundle, "checkpoint")
    try:
        checkpoint = open_checkpoint(note.decode(), policy)
    except UnicodeDecodeError:
        refuse("checkpoint: not text")
    contents = Contents()
    # Computed from the entries alone; what the tiles say is then compared with it.
    row, level = [], 0
    for index in range(-(-checkpoint.size // WIDTH)):
        width = min(WIDTH, checkpoint.size - index * WIDTH)
        for record in records(bundle, f"tile/entries/{index_path(index, width)}", width):
            contents.add(record)
            row.append(leaf_hash(record))
    full: list[bytes] = row
    while full:
        verify_tiles(bundle, level, full)
        full = [tree_hash(full[at : at + WIDTH]) for at in range(0, len(full) - WIDTH + 1, WIDTH)]
        level += 1
    if tree_hash(row) != checkpoint.root:
        refuse(f"checkpoint: the {checkpoint.size} entries do not hash to its root")
    return (
        f"{checkpoint.origin}: {checkpoint.size} entries about {len(contents.account_entries)} accounts, "
        f"root {checkpoint.root.hex()}, signed by {', '.join(sorted(key.name for key in checkpoint.signers))}"
    )


def verify_tiles(bundle: Path, level: int, hashes: Sequence[bytes]) -> None:
    """Compare the tiles of one level with the hashes that they should hold."""
    for index in range(-(-len(hashes) // WIDTH)):
        expected = hashes[index * WIDTH : (index + 1) * WIDTH]
        path = f"tile/{level}/{index_path(index, len(expected))}"
        content = read_file(bundle, path)
        if len(content) != len(b"".join(expected)):
            refuse(f"{path}: has {len(content)} bytes instead of {len(b''.join(expected))}")
        for number, each in enumerate(expected):
            if content[number * 32 : number * 32 + 32] != each:
                refuse(f"{path}: hash {number} is not that of what it stands for")


# --- One record (C2SP tlog-proof) ---


def verify_proof(policy: Policy, proof: str, record: bytes) -> str:
    """Check that a record stands in a log, and return where."""
    head, _, note = proof.partition("\n\n")
    lines = head.split("\n")
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        refuse("proof: not a tlog-proof")
    if lines and lines[0].startswith("extra "):
        decoded(lines.pop(0).removeprefix("extra "), "proof: its extra data")
    word, _, number = lines.pop(0).partition(" ") if lines else ("", "", "")
    if word != "index" or not _is_number(number):
        refuse("proof: does not say its index")
    path = [decoded(line, "proof: a hash") for line in lines]
    if any(len(each) != len(EMPTY_ROOT) for each in path):
        refuse("proof: a hash is not 32 bytes")
    checkpoint = open_checkpoint(note, policy)
    if root_of_path(int(number), checkpoint.size, leaf_hash(record), path) != checkpoint.root:
        refuse(f"proof: the record is not entry {number} of {checkpoint.origin}")
    return f"{checkpoint.origin}: the record is entry {number} of {checkpoint.size}, root {checkpoint.root.hex()}"


def main(arguments: Sequence[str]) -> int:
    """Check what the command line names, and return the exit code."""
    try:
        policy_file, target, *record = (Path(argument) for argument in arguments)
        policy_text = policy_file.read_text()
        if target.is_dir() == bool(record):
            raise ValueError("a folder needs no record, and a proof needs one")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n\n{__doc__}")
        return MISUSED
    try:
        policy = read_policy(policy_text)
        if record:
            proven = verify_proof(policy, target.read_text(), record[0].read_bytes())
        else:
            proven = verify_bundle(policy, target)
    except (NotProven, OSError, UnicodeDecodeError) as error:
        sys.stdout.write(f"NOT PROVEN  {error}\n")
        return REFUSED
    sys.stdout.write(f"proven  {proven}\n")
    return PROVEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
