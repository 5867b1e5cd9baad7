"""What can be asked of the log, and what does each question need?"""

from services.audit.app.access import Access, AccessLog, Reader, accounts_in
from services.audit.app.account_record import AccountRecords
from services.audit.app.audit import AuditApp, EntryPage, Growing, InclusionProof, Proof
from services.audit.app.closer import Closer
from services.audit.app.export import Exporter, ExportOrder, Form
from services.audit.app.governed import read_records
from services.audit.app.keeper import Keeper
from services.audit.app.logs import Log, Logs
from services.audit.app.monitor import Monitor
from services.audit.app.ports import Elect, LogReader, LogWriter, Observer
from services.audit.app.queries import Queries
from services.audit.app.records import RecordsApp
from services.audit.app.reports import Reporter
from services.audit.app.scrub_pass import LogContents, ScrubReport, Stretches, scrub
from services.audit.app.scrubber import Scrubber
from services.audit.app.sealing import Sealer
from services.audit.app.sequencer import Appended, Sequencer

__all__ = [
    "Access",
    "AccessLog",
    "AccountRecords",
    "Appended",
    "AuditApp",
    "Closer",
    "Elect",
    "EntryPage",
    "ExportOrder",
    "Exporter",
    "Form",
    "Growing",
    "InclusionProof",
    "Keeper",
    "Log",
    "LogContents",
    "LogReader",
    "LogWriter",
    "Logs",
    "Monitor",
    "Observer",
    "Proof",
    "Queries",
    "Reader",
    "RecordsApp",
    "Reporter",
    "ScrubReport",
    "Scrubber",
    "Sealer",
    "Sequencer",
    "Stretches",
    "accounts_in",
    "read_records",
    "scrub",
]
