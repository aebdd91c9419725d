"""Captures of several taps as tables, on a cluster.

    plan      one task per tap     mqttdump shard --by session --plan-out
              driver               mqttdump merge plan-*.json
    shard     one task per tap     mqttdump shard --by session --plan
    tables    one task per shard   mqttdump tables, mqttdump check --facts-out
    merge     driver               mqttdump tables --table findings,deliveries *.facts
    questions Spark SQL            over the Parquet files of all shards

Tasks only start the program and read Parquet: the protocol stays in mqttdump. Taps
and --work have to be reachable under the same path on every node.

    spark-submit --master 'local[2]' job.py --work w --tap 'tap1-*.pcap' --tap 'tap2-*.pcap'
"""

import argparse
import glob
import json
import os
import resource
import subprocess
import time

from pyspark.sql import SparkSession

# A shard has all that these depend on.
OF_SHARDS = ["frames", "exchanges", "connections", "sessions", "subscriptions", "overhead", "events"]
# Messages between clients, and rules about them: decided by the facts of all shards.
OF_ALL = ["findings", "deliveries"]
QUESTIONS = {
    "control packets by type": "select type, count(*) n, sum(length) bytes from frames group by type order by n desc",
    "busiest topics": "select topic, count(*) n from frames where type = 'PUBLISH' group by topic order by n desc, topic limit 10",
    "connections by cause of their end": "select close_cause, count(*) n from connections group by close_cause order by n desc",
    "deliveries": "select match, count(*) n from deliveries group by match order by n desc",
    "findings": "select verdict, rule, count(*) n from findings group by verdict, rule order by n desc, rule",
}


def run(command):
    """Runs mqttdump and returns the processor time it took. Exit code 1 is findings."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{command}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mqttdump", default="mqttdump", help="the program, built with the feature tables")
    parser.add_argument("--work", required=True, help="folder for shards and tables")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--tap", action="append", required=True, help="files of one tap, as a glob pattern")
    args = parser.parse_args()
    program, work, shards = args.mqttdump, os.path.abspath(args.work), args.shards
    os.makedirs(f"{work}/facts", exist_ok=True)
    taps = [(number, sorted(glob.glob(tap))) for number, tap in enumerate(args.tap)]
    spark = (
        SparkSession.builder.appName("mqttdump")
        # Times are nanoseconds, which Spark has no type for.
        .config("spark.sql.legacy.parquet.nanosAsLong", "true")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    start = time.monotonic()

    def each(items, task):
        """One task for each item; the processor time of the program."""
        rdd = spark.sparkContext.parallelize(items, len(items))
        seconds = rdd.map(task).collect()
        return sum(seconds)

    def plan(tap):
        number, files = tap
        return run([program, "shard", "--by", "session", "--plan-out", f"{work}/plan-{number}.json", *files])[0]

    def shard(tap):
        number, files = tap
        return run([program, "shard", "--by", "session", "--plan", f"{work}/plan.json",
                    "--shards", str(shards), "-o", f"{work}/tap-{number}", *files])[0]

    def tables(number):
        parts = []
        for tap, _ in taps:
            parts += ["-r", f"{work}/tap-{tap}/shard-{number:03}.pcapng"]
        seconds, _ = run([program, "tables", "--table", ",".join(OF_SHARDS),
                          "-o", f"{work}/tables/{number:03}", *parts])
        more, _ = run([program, "check", "--allow-empty", "--fail-on", "never", "--format", "ndjson",
                       "--facts-out", f"{work}/facts/{number:03}.facts", *parts])
        return seconds + more

    busy = {"plan": each(taps, plan)}
    _, merged = run([program, "merge", *[f"{work}/plan-{number}.json" for number, _ in taps]])
    with open(f"{work}/plan.json", "w") as file:
        file.write(merged)
    busy["shard"] = each(taps, shard)
    # Folders are verified by their manifests before anything is read.
    folders = [f"{work}/tap-{number}" for number, _ in taps]
    busy["verify"], _ = run([program, "merge", *folders])
    busy["tables"] = each(list(range(shards)), tables)
    facts = sorted(glob.glob(f"{work}/facts/*.facts"))
    busy["merge"], _ = run([program, "tables", "--table", ",".join(OF_ALL), "-o", f"{work}/tables/all", *facts])
    built = time.monotonic() - start

    answers = {}
    for table in OF_SHARDS + OF_ALL:
        spark.read.parquet(f"{work}/tables/*/{table}.parquet").createOrReplaceTempView(table)
    for question, sql in QUESTIONS.items():
        answers[question] = [row.asDict() for row in spark.sql(sql).collect()]
        print(question)
        for answer in answers[question]:
            print("   ", answer)
    total = time.monotonic() - start
    report = {
        "seconds": round(total, 2),
        "seconds_before_sql": round(built, 2),
        "program_cpu_seconds": {step: round(seconds, 2) for step, seconds in busy.items()},
    }
    print(json.dumps(report))
    with open(f"{work}/answers.json", "w") as file:
        json.dump({"answers": answers, **report}, file, indent=1, default=str)
    spark.stop()


if __name__ == "__main__":
    main()
