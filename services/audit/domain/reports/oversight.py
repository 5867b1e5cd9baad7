"""Reports about the record itself: who read it, whose duties are apart, how the clocks ran, and what it consists of."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.audit.domain.approvals import also_halted
from services.audit.domain.logs import ACCESS, EVENTS, RECORDS
from services.audit.domain.reports.base import Fact, ReportField, Row
from services.kernel.canonical import JsonValue, canonical_json, rfc3339

_17A4 = "17 CFR 240.17a-4(f)"
# Everything read again and compared, as the rule has it done automatically.
_SCRUBBED = "audit.log.scrubbed"


def _told(fact: Fact) -> str:
    return rfc3339(fact.entry.event.occurred_time)


class AccessReport:
    """Who read or exported what, and when: recorded before the first row left."""

    name = "access"
    title = "Who read the record"
    citation = f"{_17A4}(3); Reg. (EU) 2024/1774 Art. 12; ISO/IEC 27001 A.8.15"
    log = ACCESS
    kinds = ("audit.access.*",)
    fields = (
        ReportField("time", "when", _17A4),
        ReportField("who", "the subject of the caller's token", _17A4),
        ReportField("roles", "the roles that the caller had", _17A4),
        ReportField("what", "read, exported or revealed", _17A4),
        ReportField("method", "what was called", _17A4),
        ReportField("log", "of which log", _17A4),
        ReportField("account", "about which account; empty when about every one", _17A4, required=False),
        ReportField("question", "what was asked", _17A4),
    )

    def rows(self, facts: Iterable[Fact]) -> Iterator[Row]:
        """Yield a row for each access."""
        for fact in facts:
            yield Row(
                {
                    "time": _told(fact),
                    "who": fact.entry.event.actor,
                    "roles": fact.data.get("roles"),
                    "what": fact.kind.rpartition(".")[2],
                    "method": fact.data.get("method"),
                    "log": fact.data.get("log"),
                    "account": fact.about("account"),
                    "question": canonical_json(fact.data.get("question")).decode(),
                },
                [fact.index],
            )


@dataclass(frozen=True, slots=True)
class _Duty:
    """Something that two people do: how it begins, how it is decided, and what names it."""

    what: str
    begins: tuple[str, ...]
    decides: tuple[str, ...]
    subject: str


_DUTIES = (
    _Duty("policy change", ("policy.change.created", "policy.change.submitted"), ("policy.change.approved",), "change"),
    _Duty("plan", ("decision.run.started",), ("decision.plan.approved",), "run"),
    _Duty("cross undone", ("execution.block.uncross_proposed",), ("execution.block.uncrossed",), "block"),
    _Duty("FIX session reset", ("execution.fix.reset_proposed",), ("execution.fix.reset_approved",), ""),
    _Duty("trading halt", ("execution.trading.halted",), ("execution.trading.resumed",), ""),
)


class DutiesReport:
    """Who began and who decided each thing that needs two people, and whether they were two."""

    name = "segregation-of-duties"
    title = "Segregation of duties"
    citation = "Reg. (EU) 2024/1774 Art. 17; NIST SP 800-53 AC-5; MiFID II Art. 16(5)"
    log = EVENTS
    kinds: Sequence[str] = tuple(sorted({kind for duty in _DUTIES for kind in (*duty.begins, *duty.decides)}))
    fields = (
        ReportField("what", "what needed two people", citation),
        ReportField("id", "which one", citation),
        ReportField("began_by", "who began it", citation),
        ReportField("decided_by", "who decided it", citation),
        ReportField("decided_time", "when it was decided", citation),
        ReportField("apart", "whether they were two", citation),
    )

    def rows(self, facts: Iterable[Fact]) -> Iterator[Row]:
        """Yield a row for each decision of a person."""
        began: dict[tuple[str, str], list[Fact]] = {}
        for fact in facts:
            for duty in _DUTIES:
                key = (duty.what, fact.about(duty.subject) or _scope(fact))
                if fact.kind in duty.begins:
                    began.setdefault(key, []).append(fact)
                elif fact.kind in duty.decides and not _by_rule(fact):
                    yield self._row(duty, key[1], began.get(key, []), fact)

    def _row(self, duty: _Duty, identifier: str, began: Sequence[Fact], decided: Fact) -> Row:
        authors = sorted({str(fact.data.get("author") or fact.entry.event.actor) for fact in began})
        if duty.what == "trading halt" and decided.data.get("halted_by"):
            authors = sorted({str(decided.data["halted_by"]), *also_halted(decided.data)})
        decider = decided.entry.event.actor
        values: Mapping[str, JsonValue] = {
            "what": duty.what,
            "id": identifier,
            "began_by": ", ".join(authors),
            "decided_by": decider,
            "decided_time": _told(decided),
            "apart": None if not authors else decider not in authors,
        }
        return Row(values, [*(fact.index for fact in began), decided.index])


def _by_rule(fact: Fact) -> bool:
    """Return whether a rule decided: what a workload does by itself needs no second person."""
    return fact.entry.event.actor.endswith("_service")


def _scope(fact: Fact) -> str:
    if fact.data.get("reset_id"):
        return str(fact.data["reset_id"])
    return f"{fact.data.get('scope', '')} {fact.data.get('subject_id', '')}".strip()


class RecordsDutiesReport:
    """The same for what governs the record itself."""

    name = "records-decisions"
    title = "Who proposed and who decided about the record"
    citation = f"{_17A4}(2)(i)(A)(3); NIST SP 800-53 AU-9(5)"
    log = RECORDS
    kinds = ("audit.records.*",)
    fields = (
        ReportField("proposal_id", "the proposal, or the hold", citation),
        ReportField("action", "what was proposed", citation),
        ReportField("content", "about what", citation),
        ReportField("reason", "why", citation),
        ReportField("proposer", "who proposed it", citation),
        ReportField("proposed_time", "when", citation),
        ReportField("decider", "who decided it", citation),
        ReportField("decided_time", "when it was decided", citation),
        ReportField("decision", "what was decided", citation),
        ReportField("outcome", "what came of it", citation, required=False),
    )

    def rows(self, facts: Iterable[Fact]) -> Iterator[Row]:
        """Yield a row for each proposal and each hold."""
        proposals: dict[str, list[Fact]] = {}
        for fact in facts:
            proposals.setdefault(fact.data.get("proposal_id") or fact.data["hold_id"], []).append(fact)
        for identifier, told in proposals.items():
            yield self._row(identifier, told)

    def _row(self, identifier: str, told: Sequence[Fact]) -> Row:
        first = told[0]
        decided = next((fact for fact in told if fact.kind == "audit.records.decided"), None)
        last = told[-1]
        hold = first.kind == "audit.records.hold_placed"
        values: dict[str, JsonValue] = {
            "proposal_id": identifier,
            "action": "HOLD" if hold else first.data.get("action"),
            "content": canonical_json(first.data["scope"] if hold else first.data.get("content")).decode(),
            "reason": first.data.get("reason"),
            "proposer": first.entry.event.actor,
            "proposed_time": _told(first),
            "decider": None if decided is None else decided.entry.event.actor,
            "decided_time": None if decided is None else _told(decided),
            "decision": None if decided is None else ("approved" if decided.data["approved"] else "rejected"),
            "outcome": canonical_json(last.data["outcome"]).decode() if "outcome" in last.data else None,
        }
        open_ = frozenset({"decider", "decided_time", "decision"}) if decided is None else frozenset[str]()
        return Row(values, [fact.index for fact in told], open_)


class ClockReport:
    """How far each clock was from which source, with what could be measured."""

    name = "clock-synchronisation"
    title = "Clock synchronisation log"
    citation = "FINRA 4590, 6820(a); Reg. (EU) 2025/1155 Art. 11-16; UK RTS 25"
    log = EVENTS
    kinds = ("audit.clock.checked",)
    fields = (
        ReportField("time", "when it was checked", citation),
        ReportField("source", "against which clock", citation),
        ReportField("source_kind", "what that clock is", citation),
        ReportField("offset_us", "how far ours was ahead, in microseconds", citation),
        ReportField("uncertainty_us", "how far the true offset may be from that, in microseconds", citation),
        ReportField("stratum", "the source's distance from a reference clock", citation, required=False),
        ReportField("within_50_ms", "whether within 50 ms for certain", "FINRA 4590"),
        ReportField("within_1_ms", "whether within 1 ms for certain", "Reg. (EU) 2025/1155"),
    )

    def rows(self, facts: Iterable[Fact]) -> Iterator[Row]:
        """Yield a row for each clock of each check."""
        for fact in facts:
            for source in fact.data["sources"]:
                yield Row({"time": _told(fact), **source}, [fact.index])


class EvidenceReport:
    """What the record consists of: how many entries of each kind, of which time, and what was checked of it."""

    name = "evidence-pack"
    title = "What the record of the period consists of"
    citation = f"{_17A4}(2)(i)(A), (2)(ii), (3)(v)"
    log = EVENTS
    kinds = (".*",)
    fields = (
        ReportField("kind", "what happened", f"{_17A4}(3)(iv)"),
        ReportField("entries", "how often", f"{_17A4}(2)(ii)"),
        ReportField("first_index", "the first entry", f"{_17A4}(2)(iii)"),
        ReportField("last_index", "the last entry", f"{_17A4}(2)(iii)"),
        ReportField("first_time", "when the first was recorded", f"{_17A4}(2)(i)(A)(2)"),
        ReportField("last_time", "when the last was recorded", f"{_17A4}(2)(i)(A)(2)"),
        ReportField("producers", "which services said so", f"{_17A4}(2)(i)(A)(3)"),
        ReportField("actors", "how many different people and workloads did it", f"{_17A4}(2)(i)(A)(3)"),
        ReportField(
            "findings", "what the record's own checks found, where this kind is one", f"{_17A4}(2)(ii)", required=False
        ),
    )

    def rows(self, facts: Iterable[Fact]) -> Iterator[Row]:
        """Yield a row for each kind of entry, by its name."""
        counts: Counter[str] = Counter()
        ends: dict[str, tuple[Fact, Fact]] = {}
        producers: dict[str, set[str]] = {}
        actors: dict[str, set[str]] = {}
        findings: Counter[str] = Counter()
        for fact in facts:
            counts[fact.kind] += 1
            findings[fact.kind] += fact.data.get("finding_count", 0)
            ends[fact.kind] = (ends.get(fact.kind, (fact, fact))[0], fact)
            producers.setdefault(fact.kind, set()).add(fact.entry.event.producer)
            actors.setdefault(fact.kind, set()).add(fact.entry.event.actor)
        for kind in sorted(counts):
            first, last = ends[kind]
            values: dict[str, JsonValue] = {
                "kind": kind,
                "entries": counts[kind],
                "first_index": first.index,
                "last_index": last.index,
                "first_time": rfc3339(first.entry.recorded_time),
                "last_time": rfc3339(last.entry.recorded_time),
                "producers": ", ".join(sorted(producers[kind])),
                "actors": len(actors[kind]),
                "findings": findings[kind] if kind == _SCRUBBED else None,
            }
            yield Row(values, [first.index, last.index])


ACCESS_REPORT = AccessReport()
DUTIES_REPORT = DutiesReport()
RECORDS_REPORT = RecordsDutiesReport()
CLOCK_REPORT = ClockReport()
EVIDENCE_REPORT = EvidenceReport()
