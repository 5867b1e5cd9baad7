"""Many accounts' policies as parts of a stream: each different policy once, then who has it."""

from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Generic, TypeVar

from evenkeel.policy.v1 import policy_service_pb2 as pb
from services.policy.api.documents import SharedSections
from services.policy.api.messages import effective_document, effective_message, named, source_messages
from services.policy.app.reading import Resolved
from services.policy.domain.resolve import Applied
from services.runtime.wire import word_column

# Accounts resolved and sent at once: enough to make the rest of a message negligible, and few enough that other calls
# are served in between.
ACCOUNTS_AT_ONCE = 5_000
# Policies are sent in parts of about this size; a message must stay far below what a client takes.
POLICY_BYTES_AT_ONCE = 1 << 20
# What a kept policy takes besides its bytes: the message, its hash, the names of its versions.
OVERHEAD_BYTES = 600
# One part of so many of what is kept is for answers about single nodes.
ANSWERS_PART = 8

Key = tuple[str, ...]
Made = TypeVar("Made")


class Kept(Generic[Made]):
    """Messages, kept while they are used: what is written once need not be again."""

    def __init__(self, bytes_max: int) -> None:
        """Keep about `bytes_max` bytes, those used last."""
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[tuple[object, ...], tuple[Made, int]] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> Made | None:
        """Return what is kept, or None."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def keep(self, key: tuple[object, ...], made: Made, size: int) -> None:
        """Keep what takes about `size` bytes, and give up what was not used for longest."""
        self._kept[key] = (made, size)
        self._bytes += size
        while self._bytes > self._bytes_max and len(self._kept) > 1:
            _, (_, gone) = self._kept.popitem(last=False)
            self._bytes -= gone


class PolicyMessages:
    """Effective policies as they are sent, and answers about single nodes, kept while they are used."""

    def __init__(self, bytes_max: int) -> None:
        """Keep about `bytes_max` bytes, those used last."""
        self._policies = Kept[pb.EffectivePolicy](bytes_max - bytes_max // ANSWERS_PART)
        self._answers = Kept[pb.GetEffectivePolicyResponse](bytes_max // ANSWERS_PART)

    def of(self, applied: Applied, sections: SharedSections) -> pb.EffectivePolicy:
        """Return the message of what applies; made once while it is kept, of `sections`."""
        kept = self._policies.get(applied.key)
        if kept is not None:
            return kept
        made = effective_message(applied, sections.document_message)
        if applied.lasting:
            self._policies.keep(applied.key, made, len(made.document_bytes) + OVERHEAD_BYTES)
        return made

    def hash_of(self, applied: Applied) -> str:
        """Return the hash that names what applies."""
        return self.of(applied, SharedSections()).policy_hash

    def answer(self, applied: Applied) -> pb.GetEffectivePolicyResponse:
        """Return the answer to who asks what applies to one node; made once while it is kept."""
        # By identity: of the same content, others may answer, as when a version was gone back to.
        kept = self._answers.get((applied,))
        if kept is not None:
            return kept
        document = effective_document(applied)
        made = pb.GetEffectivePolicyResponse(
            policy=named(applied, document), document=document, sources=source_messages(applied)
        )
        if applied.lasting:
            self._answers.keep((applied,), made, made.ByteSize() + OVERHEAD_BYTES)
        return made


async def parts(
    resolved: AsyncIterable[Resolved], messages: PolicyMessages
) -> AsyncIterator[pb.ResolvePoliciesResponse]:
    """Yield the stream for accounts as they are resolved, so many at a time."""
    new = NewPolicies(messages)
    async for accounts in resolved:
        for part in new.parts(accounts.applied):
            yield part
        for _, sides in accounts.sides:
            for part in new.parts((sides.candidate, sides.incumbent)):
                yield part
        yield pb.ResolvePoliciesResponse(
            account_ids=accounts.account_ids,
            policy_hashes=word_column([new.hashes[applied.key] for applied in accounts.applied]),
            comparisons=[
                pb.PolicyComparison(
                    account_id=account_id,
                    change_id=sides.rollout.change_id,
                    candidate_hash=new.hashes[sides.candidate.key],
                    incumbent_hash=new.hashes[sides.incumbent.key],
                )
                for account_id, sides in accounts.sides
            ],
        )


class NewPolicies:
    """The policies of one stream: each is sent once, and its hash is remembered."""

    def __init__(self, messages: PolicyMessages) -> None:
        """Start with nothing sent."""
        self.hashes: dict[Key, str] = {(): ""}
        self._sent: set[str] = set()
        self._messages = messages
        self._sections = SharedSections()

    def parts(self, found: Iterable[Applied]) -> Iterator[pb.ResolvePoliciesResponse]:
        """Yield the policies that were not sent yet, and note the hash of each."""
        part = pb.ResolvePoliciesResponse()
        size = 0
        for applied in found:
            if applied.key in self.hashes:
                continue
            policy = self._messages.of(applied, self._sections)
            self.hashes[applied.key] = policy.policy_hash
            if policy.policy_hash in self._sent:
                continue
            self._sent.add(policy.policy_hash)
            part.policies.append(policy)
            size += len(policy.document_bytes)
            if size >= POLICY_BYTES_AT_ONCE:
                yield part
                part = pb.ResolvePoliciesResponse()
                size = 0
        if part.policies:
            yield part
