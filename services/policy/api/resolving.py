"""Many accounts' policies as parts of a stream: each different policy once, then who has it."""

from collections.abc import Iterable, Iterator, Sequence

from evenkeel.policy.v1 import policy_service_pb2 as pb
from services.policy.api.documents import SharedSections
from services.policy.api.messages import effective_message
from services.policy.app.reading import Resolved
from services.policy.domain.resolve import Applied
from services.runtime.wire import word_column

# Accounts resolved and sent at once: enough to make the rest of a message negligible, and few enough that other calls
# are served in between.
ACCOUNTS_AT_ONCE = 5_000
# Policies are sent in parts of about this size; a message must stay far below what a client takes.
POLICY_BYTES_AT_ONCE = 1 << 20


def parts(resolved: Iterable[Sequence[Resolved]]) -> Iterator[pb.ResolvePoliciesResponse]:
    """Yield the stream for accounts as they are resolved, so many at a time."""
    hashes: dict[tuple[str, ...], str] = {(): ""}
    sections = SharedSections()
    for accounts in resolved:
        yield from _new_policies((applied for _, applied in accounts), hashes, sections)
        found = [hashes[applied.key] for _, applied in accounts]
        yield pb.ResolvePoliciesResponse(
            account_ids=[account_id for account_id, _ in accounts], policy_hashes=word_column(found)
        )


def _new_policies(
    found: Iterable[Applied], hashes: dict[tuple[str, ...], str], sections: SharedSections
) -> Iterator[pb.ResolvePoliciesResponse]:
    """Yield the policies that were not sent yet, and note the hash of each."""
    part = pb.ResolvePoliciesResponse()
    size = 0
    sent = set(hashes.values())
    for applied in found:
        if applied.key in hashes:
            continue
        policy = effective_message(applied, sections.document_message)
        hashes[applied.key] = policy.policy_hash
        if policy.policy_hash in sent:
            continue
        sent.add(policy.policy_hash)
        part.policies.append(policy)
        size += len(policy.document_bytes)
        if size >= POLICY_BYTES_AT_ONCE:
            yield part
            part = pb.ResolvePoliciesResponse()
            size = 0
    if part.policies:
        yield part
