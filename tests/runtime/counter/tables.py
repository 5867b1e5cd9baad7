"""The counter service's tables, in the schema that tests of the plumbing have."""

from sqlalchemy import CheckConstraint, Column, Integer, MetaData, Table, Text

from services.runtime.outbox import outbox_table
from services.runtime.requests import request_answer_table

metadata = MetaData(schema="policy")
counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("total", Integer, CheckConstraint("total >= 0"), nullable=False),
)
outbox = outbox_table(metadata)
request_answer = request_answer_table(metadata)
