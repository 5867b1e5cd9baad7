"""Keeps what previews say, and states how far they were from what came."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from services.decision.app.previewing import Previewed
from services.decision.domain.preview_error import Came, KeptPreview, Measured, figures_of, named_inputs
from services.kernel.clock import Clock
from services.kernel.ids import AccountId


class Previews(Protocol):
    """The previews that are kept."""

    async def keep(self, previews: Sequence[KeptPreview]) -> None:
        """Keep previews; one that is there already stays as it is."""
        ...

    async def newest(self, account_id: AccountId, before: int | None, limit: int) -> Sequence[tuple[int, KeptPreview]]:
        """Return up to `limit` previews of an account with their numbers, newest first, those below `before`."""
        ...

    async def came_after(self, preview: KeptPreview) -> Came | None:
        """Return the account's first plan with a decision that was made after a preview."""
        ...


@dataclass(frozen=True, slots=True)
class PreviewErrors:
    """The use cases."""

    read: Callable[[], AbstractAsyncContextManager[Previews]]
    begin: Callable[[], AbstractAsyncContextManager[Previews]]
    clock: Clock

    async def keep(self, account_id: AccountId, previewed: Sequence[Previewed]) -> Sequence[str]:
        """Keep what previews of an account say, and return their ids in order; empty for those without a decision.

        The id is the plan's hash with the scenario's name, so the same preview is kept once.
        """
        at, kept = self.clock.now(), list[KeptPreview]()
        ids: list[str] = []
        for each in previewed:
            content, decision = each.draft.content, each.draft.content.decision
            if decision is None:
                ids.append("")
                continue
            ids.append(f"{each.draft.plan_hash}/{each.name}")
            figures, inputs = figures_of(decision), named_inputs(each.draft.inputs)
            kept.append(KeptPreview(ids[-1], account_id, each.name, content.currency, at, figures, inputs))
        async with self.begin() as previews:
            await previews.keep(kept)
        return ids

    async def list_previews(
        self, account_id: AccountId, before: int | None, limit: int
    ) -> Sequence[tuple[int, Measured]]:
        """Return up to `limit` previews with their numbers, newest first, each beside what came."""
        async with self.read() as previews:
            found = await previews.newest(account_id, before, limit)
            return [(number, Measured(each, await previews.came_after(each))) for number, each in found]
