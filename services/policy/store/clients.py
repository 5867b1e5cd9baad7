"""What is on record of clients, in PostgreSQL; see `app.client_ports`."""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Protocol

from sqlalchemy import (
    Boolean,
    ColumnElement,
    CompoundSelect,
    DateTime,
    Select,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    exc,
    insert,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kernel.canonical import canonical_json
from services.kernel.ids import InstrumentId, PolicyNodeId
from services.policy.domain.clients import Clients
from services.policy.domain.content import plain_value
from services.policy.domain.errors import VersionConflict
from services.policy.domain.history import AsOf
from services.policy.domain.identity import ClientIdentity, IdentifierScheme
from services.policy.domain.personal import Consent, Profile, ProfileRecord
from services.policy.domain.personal_rules import IncomePath
from services.policy.domain.preferences import Exclusion, Preferences, PreferencesRecord, Tilt
from services.policy.domain.tree import NodeKind
from services.policy.tables import consent, edition, node, preferences, profile, profile_look
from services.runtime.database import Database
from services.runtime.questions import Question

_UNIQUE_VIOLATION = "23505"


class Found(Protocol):
    """A row, by the names of its columns, whoever read it."""

    def __getitem__(self, name: str, /) -> Any:  # noqa: ANN401 - columns have types of their own
        """Return the value of a column."""
        ...


class StoredClientReader:
    """Reads what is on record of clients."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Read through `connection`, which is in a transaction."""
        self._connection = connection

    async def clients(self, node_ids: Collection[PolicyNodeId] | None, as_of: AsOf) -> Clients:
        """Return what holds of the clients of nodes as of an instant; of all nodes for None."""
        query = _all_that_holds(of_all=node_ids is None, as_known_now=as_of.known_time is None)
        rows = await self._connection.execute(query, _asked(node_ids, as_of))
        return _read(rows.mappings(), as_of)[1]

    async def profile_history(self, node_id: PolicyNodeId) -> list[ProfileRecord]:
        """Return all profiles of a node, in the order in which they were recorded."""
        query = select(*profile.c).where(profile.c.node_id == node_id).order_by(profile.c.sequence)
        rows = (await self._connection.execute(query)).mappings()
        return [_profile_of(row, node_id) for row in rows]

    async def consent_history(self, node_id: PolicyNodeId) -> list[Consent]:
        """Return all records of consent of a node, in the order in which they were recorded."""
        query = (
            select(*consent.c, consent.c.evidence.label("reason"))
            .where(consent.c.node_id == node_id)
            .order_by(consent.c.sequence)
        )
        rows = (await self._connection.execute(query)).mappings()
        return [_consent_of(row, node_id) for row in rows]

    async def preference_history(self, account_id: PolicyNodeId) -> list[PreferencesRecord]:
        """Return all preferences of an account, in the order in which they were recorded."""
        query = select(*preferences.c).where(preferences.c.account_id == account_id).order_by(preferences.c.sequence)
        rows = (await self._connection.execute(query)).mappings()
        return [_preferences_of(row, account_id) for row in rows]

    async def accounts_below(self, node_id: PolicyNodeId) -> list[PolicyNodeId]:
        """Return the accounts that are a node or below it, by id."""
        columns = (node.c.node_id, node.c.kind)
        below = select(*columns).where(node.c.node_id == node_id).cte("below", recursive=True)
        below = below.union_all(select(*columns).join(below, node.c.parent_id == below.c.node_id))
        query = select(below.c.node_id).where(below.c.kind == NodeKind.ACCOUNT.value).order_by(below.c.node_id)
        return [PolicyNodeId(found) for found in (await self._connection.execute(query)).scalars()]


async def edition_and_clients(
    database: Database, node_ids: Collection[PolicyNodeId], as_of: AsOf
) -> tuple[int, Clients]:
    """Return how often what governs has changed, and what holds of the clients of nodes, both of one instant."""
    rows = await database.ask(_question(as_known_now=as_of.known_time is None), _asked(node_ids, as_of))
    return _read(rows, as_of)


def _asked(node_ids: Collection[PolicyNodeId] | None, as_of: AsOf) -> dict[str, object]:
    asked: dict[str, object] = {"valid_time": as_of.valid_time}
    if as_of.known_time is not None:
        asked["known_time"] = as_of.known_time
    if node_ids is not None:
        asked["owners"] = list(node_ids)
    return asked


def _read(rows: Iterable[Found], as_of: AsOf) -> tuple[int, Clients]:
    profiles: dict[PolicyNodeId, ProfileRecord] = {}
    chosen: dict[PolicyNodeId, PreferencesRecord] = {}
    kinds: dict[PolicyNodeId, frozenset[str]] = {}
    number = 0
    for row in rows:
        owner, source = PolicyNodeId(row["owner"]), row["source"]
        if source == edition.name:
            number = row["sequence"]
        elif source == profile.name:
            profiles[owner] = _profile_of(row, owner)
        elif source == preferences.name:
            chosen[owner] = _preferences_of(row, owner)
        elif _consent_of(row, owner).valid(as_of.valid_time):
            kinds[owner] = kinds.get(owner, frozenset()) | {row["kind"]}
    return number, Clients(profiles, kinds, chosen)


class StoredClientWriter(StoredClientReader):
    """Writes what is on record of clients."""

    async def add_profile(self, record: ProfileRecord) -> None:
        """Add the next profile of a node.

        Raises:
            VersionConflict: Another one was added first.
        """
        row = {"node_id": record.node_id, "content": _profile_text(record.profile), "reason": record.reason}
        await self._add(profile, record.node_id, record, row)

    async def add_consent(self, added: Consent) -> None:
        """Add the next record of consent of a node.

        Raises:
            VersionConflict: Another one was added first.
        """
        row = {
            "node_id": added.node_id,
            "kind": added.kind,
            "given": added.given,
            "evidence": added.evidence,
            "expire_time": added.expire_time,
        }
        await self._add(consent, added.node_id, added, row)

    async def add_preferences(self, record: PreferencesRecord) -> None:
        """Add the next preferences of an account.

        Raises:
            VersionConflict: Another one was added first.
        """
        content = canonical_json(plain_value(record.preferences)).decode()
        row = {"account_id": record.account_id, "content": content, "reason": record.reason}
        await self._add(preferences, record.account_id, record, row)

    async def look_at(self, node_id: PolicyNodeId, at: datetime) -> None:
        """Note that a node's profile is to be looked at again at the business instant `at`, and at no other."""
        added = postgresql.insert(profile_look).values(node_id=node_id, look_time=at)
        await self._connection.execute(added.on_conflict_do_update(index_elements=["node_id"], set_={"look_time": at}))

    async def to_look_at(self, market_time: datetime, limit: int) -> list[tuple[PolicyNodeId, datetime]]:
        """Return up to `limit` nodes to look at by now and since when, the earliest first; no one else gets them."""
        query = (
            select(profile_look.c.node_id, profile_look.c.look_time)
            .where(profile_look.c.look_time <= market_time)
            .order_by(profile_look.c.look_time, profile_look.c.node_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [(PolicyNodeId(row.node_id), row.look_time) for row in await self._connection.execute(query)]

    async def _add(
        self,
        table: Table,
        owner: PolicyNodeId,
        record: ProfileRecord | Consent | PreferencesRecord,
        row: Mapping[str, object],
    ) -> None:
        values = {
            **row,
            "sequence": record.sequence,
            "author": record.author,
            "effective_time": record.effective_time,
            "recorded_time": record.recorded_time,
        }
        try:
            await self._connection.execute(insert(table).values(values))
        except exc.IntegrityError as error:
            if getattr(error.orig, "sqlstate", None) != _UNIQUE_VIOLATION:
                raise
            raise VersionConflict(
                f"another {table.name} record of {owner} was added just now", node_id=owner
            ) from error


# What a table says nothing about, in the types of the tables that do.
_NOTHING: Mapping[str, ColumnElement[Any]] = {
    "content": cast(null(), Text),
    "kind": cast(null(), Text),
    "given": cast(null(), Boolean),
    "reason": cast(null(), Text),
    "expire_time": cast(null(), DateTime(timezone=True)),
}


@cache
def _all_that_holds(*, of_all: bool, as_known_now: bool) -> CompoundSelect[*tuple[Any, ...]]:
    """Select what holds of clients, and the edition: one statement, because who asks about one account waits for each.

    Writing it takes longer than running it, so it is written once.
    """
    of_consent = {
        "kind": consent.c.kind,
        "given": consent.c.given,
        "reason": consent.c.evidence,
        "expire_time": consent.c.expire_time,
    }
    return union_all(
        _last(profile, profile.c.node_id, (), _content(profile), of_all, as_known_now),
        _last(preferences, preferences.c.account_id, (), _content(preferences), of_all, as_known_now),
        _last(consent, consent.c.node_id, (consent.c.kind,), of_consent, of_all, as_known_now),
        select(
            literal(edition.name).label("source"),
            literal("").label("owner"),
            edition.c.number.label("sequence"),
            cast(null(), Text).label("author"),
            cast(null(), DateTime(timezone=True)).label("effective_time"),
            cast(null(), DateTime(timezone=True)).label("recorded_time"),
            *(nothing.label(name) for name, nothing in _NOTHING.items()),
        ),
    )


@cache
def _question(*, as_known_now: bool) -> Question:
    return Question(_all_that_holds(of_all=False, as_known_now=as_known_now), edition.name)


def _content(table: Table) -> Mapping[str, ColumnElement[Any]]:
    return {"content": table.c.content, "reason": table.c.reason}


def _last(
    table: Table,
    owner: ColumnElement[str],
    also_by: tuple[ColumnElement[str], ...],
    said: Mapping[str, ColumnElement[Any]],
    of_all: bool,
    as_known_now: bool,
) -> Select[*tuple[Any, ...]]:
    """Select the last record that holds as of an instant, of each owner, with the columns of all such tables."""
    instant = DateTime(timezone=True)
    holds = table.c.effective_time <= bindparam("valid_time", type_=instant)
    if not as_known_now:
        holds = and_(holds, table.c.recorded_time <= bindparam("known_time", type_=instant))
    if not of_all:
        holds = and_(holds, owner == any_(bindparam("owners", type_=ARRAY(Text))))
    found = (
        select(
            literal(table.name).label("source"),
            owner.label("owner"),
            table.c.sequence,
            table.c.author,
            table.c.effective_time,
            table.c.recorded_time,
            *(said.get(name, nothing).label(name) for name, nothing in _NOTHING.items()),
        )
        .ext(distinct_on(owner, *also_by))
        .where(holds)
        .order_by(owner, *also_by, table.c.effective_time.desc(), table.c.sequence.desc())
        .subquery()
    )
    return select(*found.c)


def _profile_text(said: Profile) -> str:
    content = {
        "birth_date": said.birth_date.isoformat(),
        "tolerance": said.tolerance,
        "horizon_date": None if said.horizon_date is None else said.horizon_date.isoformat(),
        "income_path": None if said.income_path is None else said.income_path.value,
        "liquidity_need": said.liquidity_need,
        "residence": said.residence,
        "wrapper": said.wrapper,
        "identity": None if said.identity is None else plain_value(said.identity),
    }
    return canonical_json({name: value for name, value in content.items() if value is not None}).decode()


def _identity_of(said: Mapping[str, str]) -> ClientIdentity:
    names = {name: said.get(name, "") for name in ("first_names", "surnames")}
    return ClientIdentity(IdentifierScheme(said["scheme"]), said["identifier"], **names)


def _profile_of(row: Found, node_id: PolicyNodeId) -> ProfileRecord:
    said = json.loads(row["content"])
    horizon, income, need = said.get("horizon_date"), said.get("income_path"), said.get("liquidity_need")
    identity = said.get("identity")
    found = Profile(
        birth_date=date.fromisoformat(said["birth_date"]),
        tolerance=said.get("tolerance"),
        horizon_date=None if horizon is None else date.fromisoformat(horizon),
        income_path=None if income is None else IncomePath(income),
        liquidity_need=None if need is None else Decimal(need),
        residence=said.get("residence"),
        wrapper=said.get("wrapper"),
        identity=None if identity is None else _identity_of(identity),
    )
    return ProfileRecord(
        node_id, row["sequence"], found, row["author"], row["reason"], row["effective_time"], row["recorded_time"]
    )


def _consent_of(row: Found, node_id: PolicyNodeId) -> Consent:
    return Consent(
        node_id=node_id,
        kind=row["kind"],
        sequence=row["sequence"],
        given=row["given"],
        evidence=row["reason"],
        author=row["author"],
        effective_time=row["effective_time"],
        recorded_time=row["recorded_time"],
        expire_time=row["expire_time"],
    )


def _preferences_of(row: Found, account_id: PolicyNodeId) -> PreferencesRecord:
    said = json.loads(row["content"])
    tax = said.get("tax_importance")
    found = Preferences(
        tax_importance=None if tax is None else Decimal(tax),
        risk_steps=said.get("risk_steps", 0),
        exclusions=tuple(Exclusion(**each) for each in said.get("exclusions", ())),
        tilts=tuple(
            Tilt(InstrumentId(each["instrument_id"]), Decimal(each["shift"])) for each in said.get("tilts", ())
        ),
    )
    return PreferencesRecord(
        account_id,
        row["sequence"],
        found,
        row["author"],
        row["reason"],
        row["effective_time"],
        row["recorded_time"],
    )
