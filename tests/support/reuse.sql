-- What lets a test's database serve the next test: it remembers how a schema began, and goes back to that.
-- A schema that a test altered does not come back, and neither does one that has grown; such a database is dropped.

CREATE SCHEMA pristine;

-- Without superuser's rights a test cannot get past the triggers below, and it may write here without knowing.
CREATE TABLE pristine.changes (tag text);
CREATE FUNCTION pristine.note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO pristine.changes VALUES (tg_tag);
END $$;

-- How the schema is now is how it began; what was remembered before is forgotten.
CREATE FUNCTION pristine.remember() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    kept record;
    filled boolean;
    statements text := '';
BEGIN
    FOR kept IN SELECT tablename FROM pg_tables WHERE schemaname = 'pristine' AND tablename <> 'changes' LOOP
        EXECUTE format('DROP TABLE pristine.%I', kept.tablename);
    END LOOP;
    CREATE TABLE pristine.sequences AS
        SELECT schemaname, sequencename, COALESCE(last_value, start_value) AS value, last_value IS NOT NULL AS called
        FROM pg_sequences WHERE schemaname IN ('{schema}', '{schema}_keeper');
    CREATE TABLE pristine.tables AS
        SELECT
            format('%I.%I', held.nspname, class.relname) AS name,
            class.oid::bigint AS id,
            (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
             WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns
        FROM pg_class AS class JOIN pg_namespace AS held ON held.oid = class.relnamespace
        WHERE held.nspname IN ('{schema}', '{schema}_keeper') AND class.relkind = 'r';
    FOR kept IN SELECT name, id, columns FROM pristine.tables LOOP
        EXECUTE format('CREATE TABLE pristine.%I AS TABLE %s', 'rows_of_' || kept.id, kept.name);
        statements := statements || format('DELETE FROM %s;', kept.name);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', kept.name) INTO filled;
        IF filled THEN
            statements := statements || format(
                'INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM pristine.%I;',
                kept.name, kept.columns, kept.columns, 'rows_of_' || kept.id
            );
        END IF;
    END LOOP;
    -- Its statements are written out, so that the connection which calls it plans each once and not after every test.
    -- That connection is in the role of a replica: no trigger and no foreign key has a say in this.
    EXECUTE format($make$
        CREATE OR REPLACE FUNCTION pristine.restore(bytes_max bigint, kept integer[]) RETURNS boolean LANGUAGE plpgsql AS $body$
        BEGIN
            PERFORM pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> ALL (kept);
            IF EXISTS (SELECT FROM pristine.changes) OR bytes_max < (
                SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace
            ) THEN
                RETURN false;
            END IF;
            %s
            PERFORM setval(format('%%I.%%I', schemaname, sequencename), value, called) FROM pristine.sequences;
            RETURN true;
        END $body$
    $make$, statements);
    DELETE FROM pristine.changes;
END $$;

CREATE EVENT TRIGGER pristine_changed ON ddl_command_end EXECUTE FUNCTION pristine.note();
CREATE EVENT TRIGGER pristine_dropped ON sql_drop EXECUTE FUNCTION pristine.note();
