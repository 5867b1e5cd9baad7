"""Who holds an account's entries 1 to n cannot know that there is no n + 1, unless the log has said so.

So the log *closes* now and then: an entry commits to the last number of every account among the entries before it. The
commitment is the root of a Merkle tree (RFC 6962, section 2.1) with a leaf per account, ordered by the SHA-256 of the
account's id: the hash, and the last number as eight bytes, big end first. An account's leaf proves its last number.
Two neighbours between which its hash would stand prove that it has no entry at all.

Where entries of an account were destroyed, its leaf says which numbers, first and last of each stretch, as eight bytes
each after the last number; the closing entry names the disposals. So what is left is still proven to be all there is.

The leaves hold hashes, so that a proof about one account does not name its neighbours.
"""

import hashlib
import re
import uuid
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.audit.domain.entry import Entry, Event
from services.audit.domain.merkle import EMPTY_ROOT, Unproven, leaf_hash, node_hash, verify_inclusion
from services.audit.domain.sequencing import AUDIT_ACTOR, AUDIT_PRODUCER
from services.kernel.canonical import JsonValue, canonical_json, rfc3339

CLOSE_KIND = "audit.log.closed"

_HASH = re.compile(r"sha256:[0-9a-f]{64}")

# Name space of the ids of closing entries, so that one state of a log is closed once (RFC 9562, version 5).
_CLOSES = uuid.UUID("c8b7b0a3-52f2-4c1c-9d6b-2a8f6f0c5e11")


def account_hash(account: str) -> bytes:
    """Return the hash by which leaves are ordered, 32 bytes."""
    return hashlib.sha256(account.encode()).digest()


@dataclass(frozen=True, slots=True)
class Leaf:
    """The last number of one account; `gone` are the first and last numbers of stretches that were destroyed."""

    account_hash: bytes
    last: int
    gone: tuple[tuple[int, int], ...] = ()

    @property
    def data(self) -> bytes:
        """What the tree hashes."""
        gone = b"".join(first.to_bytes(8, "big") + last.to_bytes(8, "big") for first, last in self.gone)
        return self.account_hash + self.last.to_bytes(8, "big") + gone


@dataclass(frozen=True, slots=True, order=True)
class Destroyed:
    """A stretch of the log that was destroyed: from `start` up to but not including `stop`, by which proposal."""

    start: int
    stop: int
    proposal_id: str


@dataclass(frozen=True, slots=True)
class StoredNumber:
    """The last number of an account among the first `size` entries, as it is stored; nothing of it is believed."""

    account_hash: bytes
    size: int
    last: int


class CloseTree:
    """The tree over the last numbers of all accounts, in memory: about 100 bytes an account."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        """Build it over `leaves`, ordered by `account_hash`, each account once.

        Raises:
            ValueError: They are not in order.
        """
        self._hashes = [leaf.account_hash for leaf in leaves]
        if any(left >= right for left, right in zip(self._hashes, self._hashes[1:], strict=False)):
            raise ValueError("leaves stand in the order of their accounts' hashes, each once")
        self._leaves = leaves
        self._levels = [[leaf_hash(leaf.data) for leaf in leaves]]
        while len(self._levels[-1]) > 1:
            row = self._levels[-1]
            above = [node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
            # A node without a sibling stands one level higher as it is.
            self._levels.append(above + row[len(row) - 1 :] if len(row) % 2 else above)

    def __len__(self) -> int:
        """How many accounts have an entry."""
        return len(self._leaves)

    @property
    def root(self) -> bytes:
        """The root over all leaves."""
        return self._levels[-1][0] if self._leaves else EMPTY_ROOT

    def around(self, account: str) -> list[int]:
        """Return the position of the account's leaf; or of those on both sides of where it would stand."""
        wanted = account_hash(account)
        at = bisect_left(self._hashes, wanted)
        if at < len(self._hashes) and self._hashes[at] == wanted:
            return [at]
        return [each for each in (at - 1, at) if 0 <= each < len(self._hashes)]

    def proven(self, position: int) -> "ProvenLeaf":
        """Return the leaf at `position` with the path from it to the root."""
        path, at = [], position
        for row in self._levels[:-1]:
            if at ^ 1 < len(row):
                path.append(row[at ^ 1])
            at //= 2
        return ProvenLeaf(position, self._leaves[position], tuple(path))


def close_tree(leaves: Sequence[Leaf], gone: Mapping[str, Sequence[tuple[int, int]]]) -> CloseTree:
    """Return the tree over `leaves`, and by account the stretches of its numbers that are gone."""
    if not gone:
        return CloseTree(leaves)
    stretches = {account_hash(account): tuple(each) for account, each in gone.items()}
    return CloseTree([replace(each, gone=stretches.get(each.account_hash, ())) for each in leaves])


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """A leaf, and the path from it to the root that a closing entry states."""

    position: int
    leaf: Leaf
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Closing:
    """What a closing entry states: the last numbers of `account_count` accounts in the first `covered_size` entries.

    `destroyed` is what was destroyed of the log by then, by the first index.
    """

    covered_size: int
    account_count: int
    root: bytes
    destroyed: tuple[Destroyed, ...] = ()


def close_event(origin: str, closing: Closing, now: datetime) -> Event:
    """Return the event that closes the log `origin`; the same for the same state of the log, but for its time."""
    gone: list[JsonValue] = [[each.start, each.stop, each.proposal_id] for each in closing.destroyed]
    return Event(
        event_id=str(uuid.uuid5(_CLOSES, f"{origin} {closing.covered_size}")),
        kind=CLOSE_KIND,
        occurred_time=now,
        producer=AUDIT_PRODUCER,
        actor=AUDIT_ACTOR,
        trace_parent="",
        subjects={},
        data=canonical_json(
            {
                "account_count": closing.account_count,
                "closed_time": rfc3339(now),
                "covered_size": closing.covered_size,
                "root": f"sha256:{closing.root.hex()}",
                **({"destroyed": gone} if gone else {}),
            }
        ),
    )


def read_closing(entry: Entry) -> Closing:
    """Return what the closing entry `entry` states.

    Raises:
        Unproven: It is none.
    """
    said = entry.event.data_members
    size, count, root = said.get("covered_size"), said.get("account_count"), str(said.get("root"))
    if entry.event.kind != CLOSE_KIND or not isinstance(size, int) or not isinstance(count, int):
        raise Unproven(f"entry {entry.index} does not close the log")
    if not 0 <= size <= entry.index or count < 0 or not _HASH.fullmatch(root):
        raise Unproven(f"entry {entry.index} closes the log over what cannot be")
    destroyed = tuple(Destroyed(int(start), int(stop), str(by)) for start, stop, by in said.get("destroyed", ()))
    return Closing(size, count, bytes.fromhex(root.removeprefix("sha256:")), destroyed)


def verify_last(account: str, leaves: Sequence[ProvenLeaf], closing: Closing) -> int:
    """Return the last number of `account` among the entries that `closing` covers, 0 when it has none.

    Raises:
        Unproven: `leaves` do not show it.
    """
    return verify_leaf(account, leaves, closing).last


def verify_leaf(account: str, leaves: Sequence[ProvenLeaf], closing: Closing) -> Leaf:
    """Return the leaf of `account` among the entries that `closing` covers; its last number is 0 when it has none.

    Raises:
        Unproven: `leaves` do not show it.
    """
    wanted = account_hash(account)
    for each in leaves:
        verify_inclusion(
            index=each.position,
            size=closing.account_count,
            leaf=leaf_hash(each.leaf.data),
            proof=each.path,
            root=closing.root,
        )
    match leaves:
        case []:
            if closing.account_count or closing.root != EMPTY_ROOT:
                raise Unproven(f"nothing shows the last number of account {account}")
            return Leaf(wanted, 0)
        case [one] if one.leaf.account_hash == wanted:
            if one.leaf.gone and not closing.destroyed:
                raise Unproven(f"numbers of account {account} are said to be destroyed, and nothing was")
            return one.leaf
        case [first] if first.position == 0 and wanted < first.leaf.account_hash:
            return Leaf(wanted, 0)
        case [last] if last.position == closing.account_count - 1 and last.leaf.account_hash < wanted:
            return Leaf(wanted, 0)
        case [left, right] if (
            left.position + 1 == right.position and left.leaf.account_hash < wanted < right.leaf.account_hash
        ):
            return Leaf(wanted, 0)
        case _:
            raise Unproven(f"the leaves do not show the last number of account {account}")
