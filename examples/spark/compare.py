"""Compares the tables of shards with those of one process, as multisets of rows.

    python3 compare.py SHARDS/tables ONE/tables

Left out: `connection`, which is counted in each shard, and columns that depend on
connections in other shards, which findings and deliveries of `mqttdump merge` decide.
"""

import sys

import duckdb

# What a shard cannot know: messages of clients in other shards.
TABLES = {
    "frames": [],
    "exchanges": [],
    "connections": ["violations", "warnings"],
    "sessions": ["violations", "warnings"],
    "overhead": [],
    "events": [],
}


def one_number(sql):
    return duckdb.sql(sql).fetchall()[0][0]


def main():
    shards, one = sys.argv[1:3]
    different = 0
    for table, left_out in TABLES.items():
        duckdb.sql(f"create or replace view a as from read_parquet('{shards}/*/{table}.parquet')")
        duckdb.sql(f"create or replace view b as from read_parquet('{one}/{table}.parquet')")
        names = [row[0] for row in duckdb.sql("describe b").fetchall()]
        names = [name for name in names if name not in ["connection", "file", *left_out]]
        columns = ", ".join(f'"{name}"' for name in names)
        rows = one_number("select count(*) from b")
        counts = []
        for this, that in [("a", "b"), ("b", "a")]:
            sql = f"select count(*) from (select {columns} from {this} except all select {columns} from {that})"
            counts.append(one_number(sql))
        print(f"{table}: {rows} rows, {counts[0]} only in shards, {counts[1]} only in one process")
        if sum(counts):
            different += 1
            for name in names:
                sql = f"""select count(*) from (select "{name}" from a except all select "{name}" from b)"""
                n = one_number(sql)
                if n:
                    print(f"    {name}: {n} values differ")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
