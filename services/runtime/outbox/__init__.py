"""How does audit learn of every change, even when it is down? Through a table written in the same transaction."""

from services.runtime.outbox.relay import relay
from services.runtime.outbox.table import outbox_table

__all__ = ["outbox_table", "relay"]
