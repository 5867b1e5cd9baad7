"""Which facts are about a person, and how they are kept so that they can be forgotten.

The log never changes, and a person may have the right to be forgotten. So what an event says of a natural person is
encrypted under that person's own key before it becomes an entry; the leaf hashes the ciphertext. Destroying the key,
which lives outside the log, makes the data unreadable in every copy, and every proof stays valid. No hash of the clear
text is kept anywhere: after the key is gone nothing links to it (EDPB Guidelines 02/2025).

Which fields are personal is declared here by kind of event, and nowhere else.

The cipher is AES-256-GCM. Its nonce is an HMAC, under a key derived from the subject's, of the event, the field and the
text: the same event told again gives the same bytes, so the log knows it as a repeat, and two different texts do not
share a nonce but with probability 2^-96. GCM does not commit to its key, so an HMAC of the key stands beside the box
and is checked first. The event's id, the field and the key's name are authenticated with it.
"""

import base64
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.audit.domain.entry import Event
from services.kernel.canonical import canonical_json

KEY_BYTES = 32
_NONCE_BYTES = 12
_CHECK_BYTES = 16

# What says nothing of anybody.
_NOTHING = (None, "")

# The one member of the object that stands where a personal value was.
SEALED = "sealed"


class BoxInvalid(ValueError):
    """A sealed value was changed, or is opened with another key than it was sealed with."""


@dataclass(frozen=True, slots=True)
class PersonalField:
    """A field of an event's data that is about a person.

    `path` is the name of a member, or names joined by dots for a member of a member. The person is the event's subject
    of the first of the kinds `subjects` that it has; an event that has none of them has nothing personal there.
    """

    path: str
    subjects: tuple[str, ...]


_CLIENT = ("account", "household")


def _of_client(*paths: str) -> tuple[PersonalField, ...]:
    return tuple(PersonalField(path, _CLIENT) for path in paths)


# By kind of event. A node of an account or a household bears the client's name; the nodes above bear the firm's own.
# Words that people write about one account or household are the client's too: nobody can know what is in them. Where an
# event names no client, they are about an instrument, a venue or the firm, and stay as they are.
PERSONAL_FIELDS: Mapping[str, tuple[PersonalField, ...]] = {
    "policy.node.created": _of_client("name"),
    "policy.node.deleted": _of_client("name"),
    "policy.profile.recorded": _of_client(
        "identity.identifier", "identity.first_names", "identity.surnames", "identity.birth_date", "reason"
    ),
    "policy.preferences.recorded": _of_client("reason"),
    **{
        f"policy.change.{step}": _of_client("reason", "comment")
        for step in ("created", "edited", "submitted", "supported", "approved", "rejected", "withdrawn")
    },
    "policy.stop.created": _of_client("reason"),
    "policy.stop.lifted": _of_client("reason"),
    "decision.plan.approved": _of_client("comment"),
    "decision.plan.withdrawn": _of_client("comment"),
    "execution.trading.halted": _of_client("why"),
    "execution.trading.resumed": _of_client("why"),
}


def personal_fields(kind: str) -> tuple[PersonalField, ...]:
    """Return which fields of events of `kind` are about a person."""
    return PERSONAL_FIELDS.get(kind, ())


def subject_of(event: Event, declared: PersonalField) -> str | None:
    """Return whose data the field is, as `kind:id`; None when the event names nobody."""
    return next(
        (f"{kind}:{event.subjects[kind]}" for kind in declared.subjects if kind in event.subjects),
        None,
    )


def subjects_of(event: Event) -> frozenset[str]:
    """Return everybody about whom `event` says something personal, each as `kind:id`."""
    declared = [
        (each.path, subject) for each in personal_fields(event.kind) if (subject := subject_of(event, each)) is not None
    ]
    data = event.data_members if declared else {}
    return frozenset(subject for path, subject in declared if _at(data, path) not in _NOTHING)


@dataclass(frozen=True, slots=True, repr=False)
class SubjectKey:
    """The key of one subject's data. `generation` counts from 1; a new one is made after one was destroyed."""

    subject: str
    generation: int
    secret: bytes

    @property
    def key_id(self) -> str:
        """The name that stands with what it sealed."""
        return f"{self.subject}/{self.generation}"

    def seal(self, value: object, event_id: str, path: str) -> dict[str, Any]:
        """Return what stands in the entry instead of `value`."""
        text = canonical_json(value)  # type: ignore[arg-type]  # a member of an event's data, which is canonical JSON
        context = self._context(event_id, path)
        nonce = hmac.digest(self._derived(b"nonce"), context + b"\x00" + text, "sha256")[:_NONCE_BYTES]
        box = AESGCM(self._derived(b"box")).encrypt(nonce, text, context)
        return {
            SEALED: {"key": self.key_id, "check": self._check().hex(), "box": base64.b64encode(nonce + box).decode()}
        }

    def open(self, sealed: Mapping[str, Any], event_id: str, path: str) -> object:
        """Return the value that `seal` was given.

        Raises:
            BoxInvalid: It was sealed with another key, for another place, or was changed since.
        """
        inside = sealed[SEALED]
        if not hmac.compare_digest(bytes.fromhex(inside["check"]), self._check()):
            raise BoxInvalid(f"{path} was not sealed with the key {self.key_id}")
        raw = base64.b64decode(inside["box"])
        try:
            text = AESGCM(self._derived(b"box")).decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], self._context(event_id, path)
            )
        except InvalidTag as error:
            raise BoxInvalid(f"{path} is not what was sealed") from error
        return json.loads(text)

    def _context(self, event_id: str, path: str) -> bytes:
        return f"{self.key_id}\n{event_id}\n{path}".encode()

    def _check(self) -> bytes:
        return self._derived(b"check")[:_CHECK_BYTES]

    def _derived(self, purpose: bytes) -> bytes:
        # HKDF-Expand (RFC 5869, section 2.3) of one block: the secret is random and needs no extraction.
        return hmac.digest(self.secret, b"evenkeel.audit.personal/v1 " + purpose + b"\x01", "sha256")


def sealed_event(event: Event, keys: Mapping[str, SubjectKey]) -> Event:
    """Return `event` with what is personal in it sealed; itself when nothing is.

    Args:
        event: As its producer told it.
        keys: By subject; those of `subjects_of(event)`.
    """
    declared = [(each, subject_of(event, each)) for each in personal_fields(event.kind)]
    if not any(subject for _, subject in declared):
        return event
    data = json.loads(event.data)
    for each, subject in declared:
        if subject is not None:
            _replace(data, each.path, lambda value, e=each, s=subject: keys[s].seal(value, event.event_id, e.path))  # type: ignore[misc]  # bound now
    return replace(event, data=canonical_json(data))


def sealed_fields(event: Event) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the fields of a recorded event that are sealed: path and what stands there."""
    data = json.loads(event.data) if personal_fields(event.kind) else {}
    for each in personal_fields(event.kind):
        found = _at(data, each.path)
        if isinstance(found, dict) and found.keys() == {SEALED}:
            yield each.path, found


def key_name(sealed: Mapping[str, Any]) -> tuple[str, int]:
    """Return the subject and the generation of the key that a value was sealed with."""
    subject, _, generation = str(sealed[SEALED]["key"]).rpartition("/")
    return subject, int(generation)


def opened_data(event: Event, keys: Mapping[str, SubjectKey]) -> bytes:
    """Return the data of a recorded event in clear, as canonical JSON.

    Args:
        event: As the log has it.
        keys: By key id, those that its sealed fields name.

    Raises:
        BoxInvalid: A sealed value was changed.
    """
    data = json.loads(event.data)
    for path, sealed in sealed_fields(event):
        key = keys[sealed[SEALED]["key"]]
        value = key.open(sealed, event.event_id, path)
        _replace(data, path, lambda _, v=value: v)  # type: ignore[misc]  # bound now
    return canonical_json(data)


def same_but_for_sealed(recorded: Event, told: Event) -> bool:
    """Return whether `told` is `recorded` told again, as far as can be seen without what is personal."""
    sealed = [path for path, _ in sealed_fields(recorded)]
    with_holes = []
    for event in (recorded, told):
        data = json.loads(event.data)
        for path in sealed:
            _replace(data, path, lambda _: SEALED)
        with_holes.append(replace(event, data=canonical_json(data)))
    return with_holes[0].digest == with_holes[1].digest


def _at(data: Any, path: str) -> object:  # noqa: ANN401 - JSON
    for name in path.split("."):
        if not isinstance(data, dict) or name not in data:
            return None
        data = data[name]
    return data


def _replace(data: Any, path: str, becomes: Callable[[object], object]) -> None:  # noqa: ANN401 - JSON
    """Replace the value at `path`, when there is one that says something."""
    *above, last = path.split(".")
    for name in above:
        data = data.get(name) if isinstance(data, dict) else None
    if isinstance(data, dict) and data.get(last) not in _NOTHING:
        data[last] = becomes(data[last])
