"""Checks an exported audit log, or one record's proof, offline: with a policy file, and no trust in whoever made them.

    python audit_verify.py POLICY EXPORT                    # a folder: manifest, entries.jsonl, proof, checkpoint
    python audit_verify.py POLICY BUNDLE                    # a folder: checkpoint and tile/…
    python audit_verify.py POLICY PROOF.tlog-proof RECORD   # one record, as it was exported
    python audit_verify.py POLICY ACCOUNT.json              # all about an account in a period, and that it is all

Needs Python 3.11 and the package `cryptography`; copy this one file wherever you like. It shares no code with the log.
Ends with 0 when everything is proven, with 1 when something is not (and says what), with 2 when it was called wrongly.

Formats: C2SP signed-note, tlog-checkpoint, tlog-cosignature (Ed25519), tlog-tiles, tlog-proof, tlog-policy; hashes as
in RFC 6962. A bundle's entries are checked further: they are numbered without a gap, each account's entries are too,
no event stands twice, and no entry was recorded before the one that precedes it.
"""

import base64
import csv
import hashlib
import io
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
        refuse(f"key {name}: its id must be {key.key_id.hex()}, which follows from name and key, was {key_id}")
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
    signers = _signers(text, block, [log, *policy.witnesses], "checkpoint")
    if log not in signers:
        refuse(f"checkpoint: not signed by the log {origin}")
    if policy.quorum != "none" and not policy.witnessed[policy.quorum](signers):
        refuse(f"checkpoint: not seen by the witnesses that the policy asks for ({policy.quorum})")
    return Checkpoint(origin, int(size), root, frozenset(signers))


def _is_number(text: str) -> bool:
    """Return whether `text` is a number of up to 20 digits, without leading zeros."""
    return text.isascii() and text.isdecimal() and len(text) <= 20 and str(int(text)) == text


def _signers(text: str, block: str, keys: Sequence[Key], what: str) -> set[Key]:
    known = {(key.name, key.key_id): key for key in keys}
    signers = set()
    for line in block[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\N{EM DASH}":
            refuse(f"{what}: a signature line is malformed")
        raw = decoded(parts[2], f"{what}: the signature by {parts[1]}")
        key = known.get((parts[1], raw[:4]))
        if key is not None:
            if not key.signed(text, raw[4:]):
                refuse(f"{what}: the signature by {key.name} is wrong")
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
    contents, complaint = Contents(), ""
    # Computed from the entries alone; what the tiles say is then compared with it.
    row: list[bytes] = []
    for index in range(-(-checkpoint.size // WIDTH)):
        width = min(WIDTH, checkpoint.size - index * WIDTH)
        for record in records(bundle, f"tile/entries/{index_path(index, width)}", width):
            row.append(leaf_hash(record))
            try:
                if not complaint:
                    contents.add(record)
            except NotProven as error:
                # What is wrong by the log's own signature is told; what was changed since is told by its hash.
                complaint = str(error)
    if tree_hash(row) != checkpoint.root:
        name_changed_entry(bundle, row, checkpoint.root)
        refuse(complaint or f"checkpoint: the {checkpoint.size} entries do not hash to its root")
    if complaint:
        refuse(complaint)
    full, level = row, 0
    while full:
        verify_tiles(bundle, level, full)
        full = [tree_hash(full[at : at + WIDTH]) for at in range(0, len(full) - WIDTH + 1, WIDTH)]
        level += 1
    return (
        f"{checkpoint.origin}: {checkpoint.size} entries about {len(contents.account_entries)} accounts, "
        f"root {checkpoint.root.hex()}, signed by {', '.join(sorted(key.name for key in checkpoint.signers))}"
    )


def name_changed_entry(bundle: Path, row: Sequence[bytes], root: bytes) -> None:
    """Refuse the first entry that is not what the lowest tiles say, where these lead to the signed root."""
    widths = [min(WIDTH, len(row) - at) for at in range(0, len(row), WIDTH)]
    said = b"".join(read_file(bundle, f"tile/0/{index_path(index, width)}") for index, width in enumerate(widths))
    signed = [said[at : at + 32] for at in range(0, len(said), 32)]
    if len(signed) == len(row) and tree_hash(signed) == root:
        for index, (computed, stated) in enumerate(zip(row, signed, strict=True)):
            if computed != stated:
                refuse(f"entry {index}: its bytes hash to {computed.hex()}, signed is {stated.hex()}")


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


# --- An export: some entries, and the proof of all of them ---

EXPORT_HEADER = "evenkeel.audit/export/v1"
CSV_COLUMNS = (
    *("index", "recorded_time", "occurred_time", "kind", "producer", "actor", "account", "account_sequence"),
    *("subjects", "event_id", "trace_parent", "data"),
)


@dataclass
class Manifest:
    """What the log signed about an export."""

    words: dict[str, str]
    files: dict[str, tuple[str, int]]

    def __getitem__(self, word: str) -> str:
        if word not in self.words:
            refuse(f"manifest: does not say {word}")
        return self.words[word]

    def number(self, word: str) -> int:
        """Return a number that it says."""
        if not _is_number(self[word]):
            refuse(f"manifest: {word} is not a number")
        return int(self[word])


def read_manifest(note: str, policy: Policy) -> Manifest:
    """Return the manifest of an export, when the log that it names signed it."""
    cut = note.rfind("\n\n")
    text, block = note[: cut + 1], note[cut + 2 :]
    if cut < 0 or not block.endswith("\n"):
        refuse("manifest: not a signed note")
    header, *lines = text.split("\n")[:-1]
    if header != EXPORT_HEADER:
        refuse(f"manifest: begins with {header!r} instead of {EXPORT_HEADER!r}")
    words: dict[str, str] = {}
    files: dict[str, tuple[str, int]] = {}
    for line in lines:
        word, _, said = line.partition(" ")
        if word == "file":
            match said.split(" "):
                case [digest, size, path] if _is_number(size) and path not in files:
                    files[path] = (digest, int(size))
                case _:
                    refuse(f"manifest: malformed line {line!r}")
        elif word in words:
            refuse(f"manifest: says {word} twice")
        else:
            words[word] = said
    manifest = Manifest(words, files)
    log = policy.logs.get(manifest["origin"])
    if log is None:
        refuse(f"manifest: of the log {manifest['origin']}, which the policy does not know")
    if log not in _signers(text, block, [log], "manifest"):
        refuse(f"manifest: not signed by the log {log.name}")
    return manifest


class SparseTree:
    """Computes a root from perfect subtrees, given from left to right."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list[tuple[int, bytes]] = []

    def add(self, where: str, start: int, width: int, root: bytes) -> None:
        """Take the subtree of `width` leaves from `start`."""
        if start != self.size:
            refuse(f"{where}: is about leaf {start}, but leaf {self.size} comes next")
        if width < 1 or width & (width - 1) or start % width or len(root) != len(EMPTY_ROOT):
            refuse(f"{where}: {width} leaves from {start} are no perfect subtree with a hash")
        self.size += width
        while self.peaks and self.peaks[-1][0] == width:
            root, width = node_hash(self.peaks.pop()[1], root), width * 2
        self.peaks.append((width, root))

    def root(self) -> bytes:
        """Return the root over everything taken."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1][1]
        for _, peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Rendered:
    """Compares a file with what follows from the entries, piece by piece."""

    def __init__(self, path: Path, make: Callable[[bytes], bytes], header: bytes = b"") -> None:
        self.path = path
        self.make = make
        self.file = path.open("rb") if path.exists() else None
        self.take("the header", header)

    def take(self, where: str, expected: bytes) -> None:
        """Compare the next bytes."""
        if self.file is not None and self.file.read(len(expected)) != expected:
            refuse(f"{self.path.name}: {where} is not what follows from entries.jsonl")

    def end(self) -> None:
        """Check that nothing is left."""
        if self.file is not None:
            left = self.file.read(1)
            self.file.close()
            if left:
                refuse(f"{self.path.name}: goes on after the last entry")


def csv_line(record: bytes) -> bytes:
    """Return an entry as a line of CSV."""
    entry = json.loads(record)
    cells = dict(entry) | {"account": entry["subjects"].get("account", "")}
    cells |= {name: compact(entry[name]) for name in ("subjects", "data")}
    return csv_row([cells[name] for name in CSV_COLUMNS])


def csv_row(cells: Sequence[object]) -> bytes:
    """Return a line of CSV."""
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def text_block(record: bytes) -> bytes:
    """Return an entry as a block of text."""
    entry = json.loads(record)
    about = ", ".join(f"{kind} {each}" for kind, each in entry["subjects"].items()) or "nothing"
    if entry["account_sequence"]:
        about += f" (number {entry['account_sequence']} of its account)"
    trace = f", trace {entry['trace_parent']}" if entry["trace_parent"] else ""
    lines = [f"#{entry['index']}  {entry['recorded_time']}  {entry['kind']}"]
    lines.append(f"  by {entry['actor']}, told by {entry['producer']}, occurred {entry['occurred_time']}")
    lines.append(f"  about {about}")
    for name, value in entry["data"].items():
        lines.append(f"  {name}: {value if isinstance(value, str) else compact(value)}")
    return ("\n".join([*lines, f"  event {entry['event_id']}{trace}"]) + "\n\n").encode()


def compact(value: object) -> str:
    """Return JSON as the log writes it; what comes from a record is in its order already."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def asked(entry: dict[str, Any], question: dict[str, Any]) -> bool:
    """Return whether an entry is one that was asked for."""
    kind, trace = question.get("kind"), question.get("trace_id")
    below = kind is not None and kind.endswith(".*") and entry["kind"].startswith(kind[:-1])
    recorded = datetime.fromisoformat(entry["recorded_time"])
    return (
        (kind in (None, entry["kind"]) or below)
        and all(entry["subjects"].get(name) == each for name, each in question.get("subjects", {}).items())
        and question.get("actor") in (None, entry["actor"])
        and question.get("producer") in (None, entry["producer"])
        and trace in (None, entry["trace_parent"][3:35])
        and ("start_time" not in question or recorded >= datetime.fromisoformat(question["start_time"]))
        and ("end_time" not in question or recorded < datetime.fromisoformat(question["end_time"]))
        and question["start_index"] <= entry["index"] < question["stop_index"]
    )


def verify_export(policy: Policy, folder: Path) -> str:
    """Check an export, and return what it is."""
    try:
        manifest = read_manifest(read_file(folder, "manifest").decode(), policy)
        checkpoint = open_checkpoint(read_file(folder, "checkpoint").decode(), policy)
        question = json.loads(manifest["question"])
    except UnicodeDecodeError as error:
        refuse(f"manifest or checkpoint: not text ({error.reason})")
    except ValueError as error:
        refuse(f"manifest: its question is not JSON ({error})")
    if not isinstance(question, dict) or not {"start_index", "stop_index"} <= question.keys():
        refuse("manifest: its question says no bounds")
    stated = (manifest["origin"], manifest.number("size"), manifest["root"])
    if stated != (checkpoint.origin, checkpoint.size, checkpoint.root.hex()):
        refuse("manifest: is about another checkpoint than the one beside it")
    count = verify_entries(folder, manifest, checkpoint, question)
    # What is wrong with an entry was named before; this finds what no entry is wrong by.
    for path, (digest, size) in manifest.files.items():
        if "/" in path or path in ("manifest", ".", ".."):
            refuse(f"manifest: names a file outside the export: {path}")
        verify_digest(folder / path, digest, size)
    whole = f", numbers {manifest['numbers']} without a gap" if "numbers" in manifest.words else ""
    return (
        f"{checkpoint.origin}: {count} of {checkpoint.size} entries{whole}, root {checkpoint.root.hex()}, "
        f"exported {manifest['exported']} for {manifest['exporter']}"
    )


def verify_digest(path: Path, digest: str, size: int) -> None:
    """Compare a file with the hash that the manifest says."""
    computed, length = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                computed.update(piece)
                length += len(piece)
    except OSError as error:
        refuse(f"{path.name}: cannot be read ({error.strerror})")
    if (computed.hexdigest(), length) != (digest, size):
        refuse(f"{path.name}: is not the file that the manifest names: {length} bytes, sha256 {computed.hexdigest()}")


class Numbers:
    """Checks that an account's entries have every number that the manifest says, when it says any."""

    def __init__(self, manifest: Manifest) -> None:
        self.account, self.next, self.last = "", 0, 0
        if "numbers" in manifest.words:
            match manifest["numbers"].split(" ", 2):
                case [first, last, account] if _is_number(first) and _is_number(last) and account:
                    self.account, self.next, self.last = account, int(first), int(last)
                case _:
                    refuse("manifest: its numbers are malformed")

    def take(self, entry: dict[str, Any]) -> None:
        """Check the next entry."""
        if not self.account:
            return
        number = entry["account_sequence"]
        if number != self.next:
            refuse(f"entry {entry['index']}: is number {number} of {self.account}; number {self.next} is missing")
        self.next += 1

    def end(self) -> None:
        """Check that the last was there."""
        if self.account and self.next != self.last + 1:
            refuse(
                f"entries.jsonl: number {self.next} of {self.account} is missing, the manifest says up to {self.last}"
            )


def verify_entries(folder: Path, manifest: Manifest, checkpoint: Checkpoint, question: dict[str, Any]) -> int:
    """Check the entries, their proof and what follows from them; return how many there are."""
    tree, numbers, count = SparseTree(), Numbers(manifest), 0
    forms = [
        Rendered(folder / "entries.csv", csv_line, csv_row(CSV_COLUMNS)),
        Rendered(folder / "entries.txt", text_block),
    ]
    # Without a filter, nothing between the bounds may be left out.
    whole = range(question["start_index"], question["stop_index"]) if len(question) == 2 else range(0)
    try:
        with (folder / "entries.jsonl").open("rb") as entries, (folder / "proof").open("rb") as proof:
            for number, line in enumerate(proof, 1):
                where = f"proof line {number}"
                match line.decode("ascii", "replace").rstrip("\n").split(" "):
                    case ["node", start, width, digest] if _is_number(start) and _is_number(width):
                        if max(int(start), whole.start) < min(int(start) + int(width), whole.stop):
                            refuse(f"{where}: leaves out entries from {start} on, though all were asked for")
                        tree.add(where, int(start), int(width), _hash_of(where, digest))
                    case ["leaf", index, digest] if _is_number(index):
                        record, leaf = entries.readline().rstrip(b"\n"), _hash_of(where, digest)
                        numbers.take(_verify_entry(record, int(index), leaf, question))
                        tree.add(where, int(index), 1, leaf)
                        for form in forms:
                            form.take(f"entry {index}", form.make(record))
                        count += 1
                    case _:
                        refuse(f"{where}: malformed")
            if entries.readline():
                refuse("entries.jsonl: goes on after the last entry of the proof")
    except OSError as error:
        refuse(f"{Path(error.filename or folder).name}: cannot be read ({error.strerror})")
    for form in forms:
        form.end()
    numbers.end()
    if tree.size != checkpoint.size:
        refuse(f"proof: ends at leaf {tree.size} of {checkpoint.size}")
    if tree.root() != checkpoint.root:
        refuse(f"proof: its hashes lead to the root {tree.root().hex()}, not to {checkpoint.root.hex()}")
    if count != manifest.number("entries"):
        refuse(f"manifest: says {manifest['entries']} entries, there are {count}")
    return count


def _verify_entry(record: bytes, index: int, leaf: bytes, question: dict[str, Any]) -> dict[str, Any]:
    """Check one entry against its hash and against what was asked."""
    if leaf_hash(record) != leaf:
        refuse(_why_another(record, index, leaf))
    try:
        entry: dict[str, Any] = json.loads(record)
        said, fits = entry["index"], asked(entry, question)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        refuse(f"entry {index}: not an entry of an audit log ({error!r})")
    if said != index:
        refuse(f"entry {index}: says that it is entry {said}")
    if not fits:
        refuse(f"entry {index}: is not one that was asked for")
    return entry


def _why_another(record: bytes, index: int, leaf: bytes) -> str:
    if not record:
        return f"entry {index}: is left out, entries.jsonl ends before it"
    try:
        said = json.loads(record)["index"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = index
    if said != index:
        return f"entry {index}: is left out, what says that it is entry {said} stands in its place"
    return f"entry {index}: its bytes hash to {leaf_hash(record).hex()}, the proof says {leaf.hex()}"


def _hash_of(where: str, digits: str) -> bytes:
    if len(digits) != 64 or any(each not in "0123456789abcdef" for each in digits):
        refuse(f"{where}: not a hash")
    return bytes.fromhex(digits)


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


# --- An account's whole record (evenkeel-account-record/v1) ---


@dataclass(frozen=True)
class Proven:
    """An entry that is in the log."""

    index: int
    members: dict[str, Any]

    @property
    def number(self) -> int:
        """Its number among the entries of its account."""
        return int(self.members["account_sequence"])

    @property
    def time(self) -> datetime:
        """When it was recorded."""
        return datetime.fromisoformat(self.members["recorded_time"])


def proven_entry(said: dict[str, Any], checkpoint: Checkpoint) -> Proven:
    """Return an entry of a record, shown to be in the log."""
    index, body = int(said["index"]), said["body"].encode()
    path = [decoded(each, f"entry {index}: a hash") for each in said["hashes"]]
    if root_of_path(index, checkpoint.size, leaf_hash(body), path) != checkpoint.root:
        refuse(f"entry {index} is not in {checkpoint.origin}")
    members = json.loads(body)
    if members["index"] != index:
        refuse(f"entry {index} says that it is entry {members['index']}")
    return Proven(index, members)


@dataclass(frozen=True)
class Closed:
    """What a closing entry says of an account: its last number, which stretches were destroyed, and until when."""

    last: int
    gone: Sequence[tuple[int, int]]
    until: datetime


@dataclass
class Counted:
    """Counts an account's entries; passes over those that a closing entry says were destroyed."""

    account: str
    gone: Sequence[tuple[int, int]]
    last: int = 0
    destroyed: list[str] = field(default_factory=list)

    def reach(self, number: int) -> None:
        """Go on to a number, which must be the next."""
        for first, until in self.gone:
            if first == self.last + 1 and until < number:
                self.destroyed.append(f"{first} to {until}")
                self.last = until
        if number != self.last + 1:
            refuse(f"number {self.last + 1} of account {self.account} is left out")
        self.last = number


def verify_account(policy: Policy, record: dict[str, Any]) -> str:
    """Check that a record is everything about an account in a period, and return what it is."""
    if record.get("format") != "evenkeel-account-record/v1":
        refuse("record: not one of an account")
    checkpoint, account = open_checkpoint(record["checkpoint"], policy), str(record["account"])
    until = datetime.fromisoformat(record["complete_until_time"])
    start = None if record["start_time"] is None else datetime.fromisoformat(record["start_time"])
    closed = None if record["close"] is None else _closed(account, record["close"], checkpoint)
    numbers = Counted(account, [] if closed is None else closed.gone)

    def own(said: dict[str, Any]) -> Proven:
        entry = proven_entry(said, checkpoint)
        if entry.members["subjects"].get("account") != account:
            refuse(f"entry {entry.index} is not about account {account}")
        return entry

    if record["before"] is not None:
        before = own(record["before"])
        if start is None or before.time >= start:
            refuse(f"entry {before.index} is said to be before the period, and is in it")
        numbers.last = before.number
    for each in record["entries"]:
        entry = own(each)
        numbers.reach(entry.number)
        if (start is not None and entry.time < start) or entry.time >= until:
            refuse(f"entry {entry.index} was not recorded in the period")
    if record["after"] is not None:
        after = own(record["after"])
        numbers.reach(after.number)
        if after.time < until:
            refuse(f"entry {after.index} is said to be after the period, and is in it")
    elif closed is None:
        refuse(f"nothing shows that account {account} has no entry after number {numbers.last}")
    else:
        numbers.reach(closed.last + 1)
        if closed.until < until:
            refuse("the log was closed before the period was over")
    gone = f", but for numbers {', '.join(numbers.destroyed)}, which were destroyed" if numbers.destroyed else ""
    return (
        f"{checkpoint.origin}: all {len(record['entries'])} entries about account {account} "
        f"from {record['start_time'] or 'the beginning'} until {record['complete_until_time']}{gone}"
    )


def _closed(account: str, close: dict[str, Any], checkpoint: Checkpoint) -> Closed:
    closing, following = proven_entry(close["close"], checkpoint), proven_entry(close["next"], checkpoint)
    said = closing.members["data"]
    if closing.members["kind"] != "audit.log.closed" or closing.members["producer"] != "audit":
        refuse(f"entry {closing.index} does not close the log")
    if following.index != said["covered_size"]:
        refuse(f"entry {following.index} is not the first that the closing entry does not cover")
    wanted, count, leaves = hashlib.sha256(account.encode()).digest(), int(said["account_count"]), []
    for each in close["leaves"]:
        owner, number = decoded(each["account_hash"], "closing: a leaf"), int(each["last_sequence"])
        path = [decoded(value, "closing: a hash") for value in each["hashes"]]
        gone = [(int(first), int(last)) for first, last in each.get("gone", ())]
        if gone and not said.get("destroyed"):
            refuse(f"numbers of account {account} are said to be destroyed, and nothing was")
        numbers = [number, *(one for stretch in gone for one in stretch)]
        leaf = leaf_hash(owner + b"".join(one.to_bytes(8, "big") for one in numbers))
        if f"sha256:{root_of_path(each['position'], count, leaf, path).hex()}" != said["root"]:
            refuse("closing: a leaf does not lead to the root that the log committed to")
        leaves.append((int(each["position"]), owner, Closed(number, gone, following.time)))
    nothing = Closed(0, [], following.time)
    match leaves:
        case [] if count == 0:
            return nothing
        case [(_, owner, found)] if owner == wanted:
            return found
        case [(0, owner, _)] if wanted < owner:
            return nothing
        case [(position, owner, _)] if position == count - 1 and owner < wanted:
            return nothing
        case [(left, below, _), (right, above, _)] if left + 1 == right and below < wanted < above:
            return nothing
    refuse(f"closing: the leaves do not show the last number of account {account}")


def _verify_account_file(policy: Policy, file: Path) -> str:
    try:
        return verify_account(policy, json.loads(file.read_text()))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        refuse(f"record: malformed ({error!r})")


def main(arguments: Sequence[str]) -> int:
    """Check what the command line names, and return the exit code."""
    try:
        policy_file, target, *record = (Path(argument) for argument in arguments)
        policy_text = policy_file.read_text()
        account_file = not record and target.suffix == ".json"
        if not account_file and target.is_dir() == bool(record):
            raise ValueError("a folder needs no record, and a proof needs one")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n\n{__doc__}")
        return MISUSED
    try:
        policy = read_policy(policy_text)
        if account_file:
            proven = _verify_account_file(policy, target)
        elif record:
            proven = verify_proof(policy, target.read_text(), record[0].read_bytes())
        else:
            proven = (verify_export if (target / "entries.jsonl").exists() else verify_bundle)(policy, target)
    except (NotProven, OSError, UnicodeDecodeError) as error:
        sys.stdout.write(f"NOT PROVEN  {error}\n")
        return REFUSED
    sys.stdout.write(f"proven  {proven}\n")
    return PROVEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
