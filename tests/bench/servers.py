"""Database servers as they are when they have run for a while: what a new one does once is measured nowhere."""

import asyncpg


async def use(admin_url: str, wal_files: int) -> None:
    """Make a server one whose files of write-ahead log, 16 MB each, are used again: so many of them.

    A new one stops for a tenth of a second wherever 16 MB are full, to write the next file with zeros.
    """
    connection = await asyncpg.connect(admin_url)
    for _ in range(wal_files):
        await connection.execute("select pg_logical_emit_message(false, 'used', ''), pg_switch_wal()")
    await connection.execute("checkpoint")
    await connection.close()
