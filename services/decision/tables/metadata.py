"""The schema `decision`, and the tables that every service has."""

from sqlalchemy import MetaData

from services.runtime.outbox.table import outbox_table
from services.runtime.requests import request_answer_table

SCHEMA = "decision"

metadata = MetaData(schema=SCHEMA)
outbox = outbox_table(metadata)
request_answer = request_answer_table(metadata)
