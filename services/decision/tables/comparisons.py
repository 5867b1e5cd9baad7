"""Table of accounts that are decided under two policies, because one is being rolled out."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKey, Identity, Index, Numeric, Table, Text, text

from services.decision.tables.metadata import metadata
from services.decision.tables.runs import run

comparison = Table(
    "comparison",
    metadata,
    Column("run_id", Text, ForeignKey(run.c.run_id), primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("change_id", Text, nullable=False),
    Column("candidate_hash", Text, nullable=False),
    Column("incumbent_hash", Text, nullable=False),
    # All of the rest is NULL until the account is decided.
    Column("decide_time", DateTime(timezone=True)),
    Column("candidate_in_force", Boolean),
    Column("candidate_outcome", Text),
    Column("incumbent_outcome", Text),
    # NULL where a side could not be decided.
    Column("candidate_tax_bps", Numeric),
    Column("candidate_cost_bps", Numeric),
    Column("candidate_drift_bps", Numeric),
    Column("candidate_turnover_bps", Numeric),
    Column("incumbent_tax_bps", Numeric),
    Column("incumbent_cost_bps", Numeric),
    Column("incumbent_drift_bps", Numeric),
    Column("incumbent_turnover_bps", Numeric),
    # When policy acknowledged it.
    Column("report_time", DateTime(timezone=True)),
)
Index("comparison_change", comparison.c.change_id, comparison.c.number)
Index(
    "comparison_unreported",
    comparison.c.number,
    postgresql_where=text("decide_time IS NOT NULL AND report_time IS NULL"),
)
