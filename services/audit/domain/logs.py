"""Which logs are there?

One log is one origin: a tree, a key and a sequencer of its own. `events` has what the platform did. `access` has who
looked at any log; it is kept apart, so that reading the record of events adds nothing to it. `records` has who decided
how long entries are kept and which are destroyed; it is kept apart because of it nothing ever is. Others may stand
beside them, for tenants or for scale.
"""

EVENTS = "events"
ACCESS = "access"
RECORDS = "records"

# Logs that every deployment has beside `events`, and to which only the audit service itself writes.
OWN = frozenset({ACCESS, RECORDS})

# Short enough that a table's name with it fits PostgreSQL's 63 characters.
LOG_NAME_PATTERN = r"^[a-z][a-z0-9]{0,15}(_[a-z0-9]{1,15}){0,2}$"


def default_origin(events_origin: str, log: str) -> str:
    """Return what the log `log` is called in its checkpoints, beside `events` that is called `events_origin` there."""
    return events_origin if log == EVENTS else f"{events_origin}/{log}"
