"""A superuser changes single bits behind the service's back. Is every one found, and its place named?

Bits are changed in batches: several at once, each in a row of its own, and no two in neighbouring rows where a missing
row would hide the next, so that each must be found for itself; and a check in bulk must suspect something. Some
hundreds are changed in `make test`; ten thousand in `make test-chaos`, which prints how many there were of each column.
"""

import random
import re
import sys
from datetime import timedelta
from itertools import pairwise

import asyncpg
import pytest

from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.stretch import Suspicion
from services.audit.store import PostgresReader, PostgresStretches, PostgresSubjectKeys, Trusted
from services.runtime.database import Database
from tests.audit.builders import KEY, NOON, ORIGIN, some_events
from tests.audit.check_log import check_log
from tests.audit.store.test_postgres import Running
from tests.audit.store.test_scrub import closed, keep, restore, scrubbed

COMMITS, COMMIT_ENTRIES = 12, 24
BATCH = 40
# Of what there is little, few can be bent at once; it gets a smaller part of the bits.
PARTS = {"entry": 20, "posting": 20, "event_key": 20, "tile": 1, "checkpoint_note": 3, "close_number": 3}

BYTES = "set_bit({column}, $2 % (8 * octet_length({column})), 1 - get_bit({column}, $2 % (8 * octet_length({column}))))"
BIGINT = "{column} # (1::bigint << ($2 % 63))"
SMALLINT = "({column}::int # (1 << ($2 % 15)))::smallint"
UUID = "encode(set_bit(uuid_send({column}), $2 % 128, 1 - get_bit(uuid_send({column}), $2 % 128)), 'hex')::uuid"
TEXT = (
    "convert_from(set_bit(convert_to({column}, 'utf8'), $2 % (8 * octet_length({column})), "
    "1 - get_bit(convert_to({column}, 'utf8'), $2 % (8 * octet_length({column})))), 'utf8')"
)
# A timestamp is stored as microseconds since 2000.
TIME = (
    "timestamptz '2000-01-01 00:00+00' + ((extract(epoch from {column} - timestamptz '2000-01-01 00:00+00') "
    "* 1000000)::bigint # (1::bigint << ($2 % 50))) * interval '1 us'"
)

COLUMNS = {
    "entry": {"idx": BIGINT, "leaf": BYTES, "body": BYTES},
    "posting": {"term": BIGINT, "start": BIGINT, "positions": BYTES},
    "event_key": {"event_id": UUID, "idx": BIGINT, "digest": BYTES},
    "tile": {"level": SMALLINT, "idx": BIGINT, "root": BYTES, "data": BYTES},
    "checkpoint_note": {"size": BIGINT, "root": BYTES, "origin": TEXT, "note": TEXT, "sign_time": TIME},
    "close_number": {"account_hash": BYTES, "size": BIGINT, "last": BIGINT},
}
KEYS = {
    "entry": "idx",
    "posting": "(term, start)",
    "event_key": "event_id",
    "tile": "(level, idx)",
    "checkpoint_note": "size",
    "close_number": "(account_hash, size)",
}
# Where rows stand in order, so that one that is missing is told of with its neighbour.
ORDERED = {"entry", "checkpoint_note"}


class Ticking:
    """A clock that goes on with each look, so that each commit has a time of its own."""

    def __init__(self):
        self.at = NOON

    def now(self):
        self.at += timedelta(seconds=1)
        return self.at


async def filled(database):
    running = Running(database)
    running.sequencer._clock = Ticking()
    async with running:
        for number in range(COMMITS):
            await running.sequencer.append(some_events(COMMIT_ENTRIES, f"commit {number}"))
            if number % 5 == 4:
                await closed(database, running.sequencer)


async def bend(superuser, rnd, table, column, wanted):
    """Change one bit in each of at most `wanted` rows; return each as it was and as it is."""
    key = KEYS[table]
    rows = await superuser.fetch(
        f"select {key}::text as key, row_number() over (order by {key}) as at from audit.{table}"
    )
    rnd.shuffle(rows)
    bent, taken = [], set()
    for row in rows:
        if len(bent) == wanted:
            break
        if (table, column, row["key"]) == ("checkpoint_note", "sign_time", "0"):
            # When the empty log's checkpoint was signed follows from nothing: no entry was recorded then.
            continue
        if table in ORDERED and taken & {row["at"] - 1, row["at"] + 1}:
            continue
        where = f"where {key}::text = $1"
        before = await superuser.fetchrow(f"select * from audit.{table} {where}", row["key"])
        change = COLUMNS[table][column].format(column=column)
        try:
            after = await superuser.fetchrow(
                f"update audit.{table} set {column} = {change} {where} returning *", row["key"], rnd.randrange(1 << 30)
            )
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
            # A constraint refuses it, or it is no text any more: nothing is bent.
            continue
        if after != before:
            bent.append((before, after))
            taken.add(row["at"])
    return bent


def found_at(table, row, after, places, sizes):
    match table:
        case "entry":
            return f"entry {row['idx']}" in places
        case "posting":
            return f"posting {row['term']} {row['start']}" in places
        case "event_key":
            return f"event_key {row['event_id']}" in places
        case "tile":
            return f"tile {row['level']} {row['idx']}" in places
        case "close_number":
            return f"close_number {row['account_hash'].hex()} {row['size']}" in places
        case _:
            # One that is gone, or stands elsewhere, shows in the entries that it was the first to cover.
            first = max((size for size in sizes if size < row["size"]), default=0)
            entries = {f"entry {index}" for index in range(first, row["size"])}
            return bool(places & {f"checkpoint_note {row['size']}", f"checkpoint_note {after['size']}", *entries})


async def bend_and_find(database, superuser, bits):
    """Change `bits` bits, about as many in each column, and return how many were found, by column."""
    await filled(database)
    await keep(superuser)
    sizes = [row["size"] for row in await superuser.fetch("select size from audit.checkpoint_note order by size")]
    assert all(stop - start in (1, COMMIT_ENTRIES) for start, stop in pairwise(sizes[1:]))
    stretches = PostgresStretches(database, Trusted(ORIGIN, [KEY.verifier_key]))
    assert (await stretches.check(-1, 0, sizes[-1])).edge.size == sizes[-1]
    rnd = random.Random(20261128)
    columns = [(table, column) for table, named in COLUMNS.items() for column in named]
    whole = sum(PARTS[table] for table, _ in columns)
    found = {}
    for table, column in columns:
        done, tries = 0, 0
        while done < -(-bits * PARTS[table] // whole):
            tries += 1
            bent = await bend(superuser, rnd, table, column, BATCH)
            if bent:
                if table != "close_number":
                    with pytest.raises(Suspicion):
                        await stretches.check(-1, 0, sizes[-1])
                places = {each.where for each in (await scrubbed(database)).findings}
                lost = [dict(row) for row, after in bent if not found_at(table, row, after, places, sizes)]
                assert not lost, (table, column, lost[0], sorted(places)[:20])
                await restore(superuser, table)
            done += len(bent)
            assert tries < 20 * bits, (table, column)
        found[f"{table}.{column}"] = done
    assert (await scrubbed(database)).findings == ()
    await check_log(PostgresReader(database))
    return found


async def test_every_bit_of_a_few_hundred_is_found_and_located(database, superuser):
    found = await bend_and_find(database, superuser, 200)

    assert sum(found.values()) >= 200


@pytest.mark.chaos
@pytest.mark.timeout(3600)
async def test_every_bit_of_ten_thousand_is_found_and_located(database, superuser, capsys):
    found = await bend_and_find(database, superuser, 10_000)

    with capsys.disabled():
        for column, count in (*found.items(), ("everything", sum(found.values()))):
            sys.stdout.write(f"\n{count:6} bits of {column}: all found and located")
    assert sum(found.values()) >= 10_000


async def test_a_bent_key_of_personal_data_is_named(audit_database, superuser):
    keeper = Database(audit_database.settings(database_url=audit_database.keeper_url))
    keys = PostgresSubjectKeys(keeper, bytes(range(32)))
    subjects = [f"account:acc-{number}" for number in range(20)]
    kept = await keys.newest(subjects)
    rnd = random.Random(4)
    for subject in subjects:
        bent = "set_bit(wrapped, $2, 1 - get_bit(wrapped, $2))"
        bit = rnd.randrange(480)
        change = f"update audit_keeper.subject_key set wrapped = {bent} where subject = $1"
        await superuser.execute(change, subject, bit)
        with pytest.raises(LogRootMismatch, match=re.escape(f"the key {subject}/1 is not what was stored")):
            await keys.find([(subject, 1)])
        await superuser.execute(change, subject, bit)
    assert await keys.newest(subjects) == kept
    await keeper.close()
