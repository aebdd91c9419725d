#!/bin/sh
# The same as job.py without a cluster: xargs -P, and DuckDB for the questions.
#
#   PROCESSES=4 SHARDS=8 ./xargs.sh WORK FILE...
set -eu
work=$1
shift
program=${MQTTDUMP:-mqttdump}
shards=${SHARDS:-8}
processes=${PROCESSES:-$(nproc)}
mkdir -p "$work/facts" "$work/tables"
"$program" shard --by session --plan-out "$work/plan.json" -o "$work/shards" --shards "$shards" "$@"
"$program" merge "$work/shards"
export program work
seq -f %03g 0 $((shards - 1)) | xargs -P "$processes" -I N sh -euc '
    "$program" tables --table frames,exchanges,connections,sessions,subscriptions,overhead,events \
        -o "$work/tables/N" "$work/shards/shard-N.pcapng"
    "$program" check --allow-empty --fail-on never --format ndjson \
        --facts-out "$work/facts/N.facts" "$work/shards/shard-N.pcapng" >"$work/facts/N.ndjson"
'
"$program" tables --table findings,deliveries -o "$work/tables/all" "$work"/facts/*.facts
command -v "${PYTHON:-python3}" >/dev/null && "${PYTHON:-python3}" - "$work" <<'SQL'
import sys, duckdb
print(duckdb.sql(f"""
    select type, count(*) n, sum(length) bytes
    from read_parquet('{sys.argv[1]}/tables/*/frames.parquet') group by type order by n desc
"""))
SQL
