"""Compares the tables of shards with those of one process, as multisets of rows.

    python3 compare.py SHARDS/tables ONE/tables

Left out: `connection`, which is counted in each shard, and the counts of findings of a
connection, which are compared with its rows in the table of all findings.
"""

import sys

import duckdb

COUNTS = ["violations", "warnings"]
# Columns that depend on other shards.
TABLES = {
    "frames": [],
    "exchanges": [],
    "connections": COUNTS,
    "sessions": COUNTS,
    "subscriptions": [],
    "overhead": [],
    "events": [],
    "findings": [],
    "deliveries": [],
}


def one_number(sql):
    return duckdb.sql(sql).fetchall()[0][0]


def differences(name, a, b, columns):
    """Rows of each that the other does not have."""
    duckdb.sql(f"create or replace view a as {a}")
    duckdb.sql(f"create or replace view b as {b}")
    counts = []
    for this, that in [("a", "b"), ("b", "a")]:
        sql = f"select count(*) from (select {columns} from {this} except all select {columns} from {that})"
        counts.append(one_number(sql))
    rows = one_number("select count(*) from b")
    print(f"{name}: {rows} rows, {counts[0]} only in shards, {counts[1]} only in one process")
    return sum(counts)


def main():
    shards, one = sys.argv[1:3]
    different = 0
    for table, left_out in TABLES.items():
        a, b = f"from read_parquet('{shards}/*/{table}.parquet')", f"from read_parquet('{one}/{table}.parquet')"
        names = [row[0] for row in duckdb.sql(f"describe {b}").fetchall()]
        names = [name for name in names if name not in ["connection", *left_out]]
        columns = ", ".join(f'"{name}"' for name in names)
        if differences(table, a, b, columns):
            different += 1
            for name in names:
                n = one_number(f'''select count(*) from (select "{name}" from a except all select "{name}" from b)''')
                if n:
                    print(f"    {name}: {n} values differ")
    count = "coalesce(sum(\"count\") filter (where verdict = '{}'), 0)::ubigint"
    a = f"""
        select connection_uid, {count.format("violation")} violations, {count.format("warning")} warnings
        from read_parquet('{shards}/*/findings.parquet')
        where verdict in ('violation', 'warning') and connection_uid is not null group by all
    """
    b = f"""
        select connection_uid, violations, warnings
        from read_parquet('{one}/connections.parquet') where violations + warnings > 0
    """
    different += differences("counts of findings", a, b, "connection_uid, violations, warnings") > 0
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
