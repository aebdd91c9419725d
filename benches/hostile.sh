#!/bin/sh
# Time and peak memory on captures made to cost time or memory (benches/hostile.rs), at
# two sizes, beside tcpdump and tshark. Where time is linear, it doubles.
#
#   benches/hostile.sh [N] [KIND]... default: 200000, all kinds
#
# TSHARK=no leaves tshark out. FOLDER=DIR (default /tmp): where captures are written, and
# removed again. Needs python3.
set -eu
cd "$(dirname "$0")/.."
n=${1:-200000}
[ $# -eq 0 ] || shift
folder=$(mktemp -d -p "${FOLDER:-/tmp}")
trap 'rm -rf "$folder"' EXIT

cargo build --quiet --locked --release --bin mqttdump --example hostile
target=${CARGO_TARGET_DIR:-target}/release
kinds=${*:-$("$target/examples/hostile" 2>&1 | sed -n 's/^  \([a-z-]*\) .*/\1/p')}

# Seconds of CPU, and peak memory in MB.
measure() {
    python3 - "$@" <<'END'
import resource, subprocess, sys
try:
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    killed = " killed" if done.returncode < 0 else ""
    print(f"{usage.ru_utime + usage.ru_stime:.2f} s {usage.ru_maxrss // 1024} MB{killed}", end="")
except subprocess.TimeoutExpired:
    print("> 300 s", end="")
END
}

echo "| kind | n | file | \`-q\` | \`check\` | \`overhead\` | \`sessions\` | tcpdump | tshark |"
echo "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
for kind in $kinds; do
    for size in "$n" $((2 * n)); do
        "$target/examples/hostile" "$kind" "$size" "$folder/capture"
        printf '| %s | %d | %d MB |' "$kind" "$size" $(($(wc -c <"$folder/capture") / 1000000))
        for job in '-q -r' check overhead sessions; do
            # shellcheck disable=SC2086  # a job is several words
            printf ' %s |' "$(measure "$target/mqttdump" $job "$folder/capture")"
        done
        printf ' %s |' "$(measure tcpdump -nn -r "$folder/capture")"
        case ${TSHARK:-yes} in
            no) printf ' |\n' ;;
            *) printf ' %s |\n' "$(measure tshark -n -r "$folder/capture")" ;;
        esac
    done
done
