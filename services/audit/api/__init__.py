"""What do callers say to the log, and what does it answer?"""

from services.audit.api.export import ExportServicer
from services.audit.api.monitor import MonitorServicer
from services.audit.api.query_servicer import AuditQueryServicer, LogQueries
from services.audit.api.reading import ACCESS_INDEX_HEADER, AccessRecorder
from services.audit.api.records import RecordsServicer
from services.audit.api.reports import ReportServicer
from services.audit.api.servicer import AuditServicer
from services.audit.api.witness_servicer import WitnessServicer

__all__ = [
    "ACCESS_INDEX_HEADER",
    "AccessRecorder",
    "AuditQueryServicer",
    "AuditServicer",
    "ExportServicer",
    "LogQueries",
    "MonitorServicer",
    "RecordsServicer",
    "ReportServicer",
    "WitnessServicer",
]
