"""The counters, the outbox and the answers."""

from alembic import op
from sqlalchemy import MetaData

from tests.runtime.counter import tables

revision = "0001"
down_revision = "0000"


def upgrade():
    assert isinstance(tables.metadata, MetaData)
    tables.metadata.create_all(op.get_bind())
