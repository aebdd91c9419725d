#!/bin/sh
# Time and memory as a capture grows: CPU seconds for each million packets, and
# peak memory. Both stay the same where time is linear and memory flat.
#
#   benches/growth.sh [PACKETS]... default: 100000 1000000 10000000 (1.2 GB)
#
# KIND=e (see benches/traffic.rs: connections that come and go; in kind a they stay
# open, so that their number grows with the capture). FOLDER=DIR (default /tmp): where captures are
# written, and removed again. Needs GNU time.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- 100000 1000000 10000000
kind=${KIND:-e}
folder=$(mktemp -d -p "${FOLDER:-/tmp}")
trap 'rm -rf "$folder"' EXIT

cargo build --quiet --locked --release --bin mqttdump --example generate
target=${CARGO_TARGET_DIR:-target}/release

printf '%10s' packets
for job in -q text ndjson check overhead; do printf ' | %8s %6s' "$job" MB; done
echo
for packets; do
    "$target/examples/generate" "$kind" "$packets" "$folder/capture"
    printf '%10d' "$packets"
    for job in '-q -r' '-r' '--format ndjson -r' check overhead; do
        # shellcheck disable=SC2086  # a job is several words
        /usr/bin/time -o "$folder/time" -f '%U %S %M' "$target/mqttdump" $job "$folder/capture" >/dev/null 2>&1 || true
        tail -n 1 "$folder/time" | awk -v packets="$packets" '{
            printf " | %8.2f %6.1f", ($1 + $2) / packets * 1e6, $3 / 1024 }'
    done
    echo
done
