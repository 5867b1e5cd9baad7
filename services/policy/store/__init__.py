"""How is what policy knows kept in PostgreSQL?"""

from services.policy.store.reader import StoredReader
from services.policy.store.transactions import PolicyStore
from services.policy.store.writer import StoredWriter

__all__ = ["PolicyStore", "StoredReader", "StoredWriter"]
