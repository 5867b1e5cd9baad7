"""The beginning."""

revision = "0000"
down_revision = None


def upgrade():
    pass
