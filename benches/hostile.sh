#!/bin/sh
# Time and peak memory on captures made to cost time or memory (benches/hostile.rs), at
# two sizes, beside tcpdump and tshark. Where time is linear, it doubles.
#
#   benches/hostile.sh [KIND]... default: all kinds
#
# N=200000: another size for all kinds. COUNT=yes: instructions in millions instead, counted
# by callgrind, the same under any load. TSHARK=no leaves tshark out. FOLDER=DIR (default
# /tmp): where captures are written, and removed again. Needs python3.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d -p "${FOLDER:-/tmp}")
trap 'rm -rf "$folder"' EXIT

cargo build --quiet --locked --release --bin mqttdump --example hostile
target=${CARGO_TARGET_DIR:-target}/release
kinds=${*:-$("$target/examples/hostile" 2>&1 | sed -n 's/^  \([a-z-]*\) .*/\1/p')}

# At the smaller size, a job takes a few seconds at most.
size() {
    case $1 in
        half-open) echo 500000 ;;
        fragments | aggregates) echo 100000 ;;
        in-flight | acknowledged) echo 80000 ;;
        tls) echo 20000 ;;
        reconnects | subscriptions | missing | overlapping | gaps | keys | short) echo 10000 ;;
        pings | bombs) echo 2000 ;;
        *) echo 50000 ;;
    esac
}

# What shows the cost of a kind.
options() {
    case "$1 $2" in
        'keys -q -r') echo "--format ndjson --decode-payload #=cbor -r" ;;
        'clock check') echo "check --every 1h" ;;
        'in-flight check' | 'acknowledged check') echo "check --every 1h --max-ack-ms 100" ;;
        *) echo "$2" ;;
    esac
}

# Seconds of CPU, and peak memory in MB.
measure() {
    python3 - "$@" <<'END'
import resource, subprocess, sys
try:
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    killed = " killed" if done.returncode < 0 else ""
    print(f"{usage.ru_utime + usage.ru_stime:.2f} / {usage.ru_maxrss // 1024}{killed}", end="")
except subprocess.TimeoutExpired:
    print("> 300 s", end="")
END
}

count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null |
        awk '/Collected :/ { printf "%d", $4 / 1000000 }'
}

case ${COUNT:-no} in
    yes) cost=count what="million instructions" ;;
    *) cost=measure what="s / MB" ;;
esac
echo "| kind | n | file, MB | \`-q\`, $what | \`check\` | \`overhead\` | \`sessions\` | tcpdump | tshark |"
echo "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
for kind in $kinds; do
    n=${N:-$(size "$kind")}
    for n in "$n" $((2 * n)); do
        "$target/examples/hostile" "$kind" "$n" "$folder/capture"
        printf '| %s | %d | %d |' "$kind" "$n" $(($(wc -c <"$folder/capture") / 1000000))
        for job in '-q -r' check overhead sessions; do
            # shellcheck disable=SC2046  # a job is several words
            printf ' %s |' "$($cost "$target/mqttdump" $(options "$kind" "$job") "$folder/capture")"
        done
        [ $cost = measure ] || { printf ' | |\n' && continue; }
        printf ' %s |' "$(measure tcpdump -nn -r "$folder/capture")"
        case ${TSHARK:-yes} in
            no) printf ' |\n' ;;
            *) printf ' %s |\n' "$(measure tshark -n -r "$folder/capture")" ;;
        esac
    done
done
