"""Searches the whole database: every column of every table."""

from harness.seeding import Seed


def where_it_stands(seed: Seed, *texts: str) -> list[str]:
    """`schema.table.column` of every column that holds one of the texts, in any letter case.

    Tables come from the catalogue, not from a list here. Each value is searched as text; bytes, which may hold
    text, are also searched as the text that they decode to. A hash is searched for by its hexadecimal digits.
    """
    columns = seed.execute(
        """
        SELECT nspname, relname, attname, format_type(atttypid, NULL) = 'bytea'
          FROM pg_attribute
          JOIN pg_class ON pg_class.oid = attrelid
          JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE relkind IN ('r', 'm') AND attnum > 0 AND NOT attisdropped
           AND nspname NOT LIKE 'pg\\_%%' AND nspname <> 'information_schema'
         ORDER BY 1, 2, attnum
        """
    )
    found = []
    for schema, table, column, is_bytes in columns:
        value = f"encode({column}, 'escape') || ' ' || encode({column}, 'hex')" if is_bytes else f"({column})::text"
        for text in texts:
            rows = seed.execute(
                f'SELECT 1 FROM "{schema}"."{table}" WHERE position(lower(%s) IN lower({value})) > 0 LIMIT 1', (text,)
            )
            if rows:
                found.append(f"{schema}.{table}.{column}")
    return found
