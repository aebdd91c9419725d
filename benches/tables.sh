#!/bin/sh
# What `tables` costs beside the commands that read the same: instructions per captured
# packet, by valgrind's callgrind, as in instructions.sh, and the ratio of `tables` to the
# sum of the others.
#
#   benches/tables.sh           print the table
#   benches/tables.sh --check   fail if the ratio is above 1.30; skipped, with a message,
#                               where valgrind is missing
set -eu
cd "$(dirname "$0")/.."
mode=${1:-}
if ! command -v valgrind >/dev/null; then
    echo "tables: valgrind is not installed" >&2
    [ "$mode" = --check ] || exit 2
    echo "tables: skipped"
    exit 0
fi
cargo build --quiet --locked --release --features tables --bin mqttdump --example generate
target=${CARGO_TARGET_DIR:-target}/release
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

count() {
    env -i TZ=UTC LC_ALL=C valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$target/mqttdump" "$@" 2>&1 >/dev/null | awk '/Collected :/ { print $4 }'
}

echo "shape,ndjson,overhead,sessions,tables,ratio"
for shape in a d; do
    packets=20000
    [ $shape = d ] && packets=4000
    "$target/examples/generate" $shape $packets "$folder/long"
    "$target/examples/generate" $shape 10 "$folder/short"
    line=$shape sum=0 cost=0
    for job in "--format ndjson -r" overhead sessions "tables -o $folder/tables"; do
        rm -rf "$folder/tables"
        # shellcheck disable=SC2086  # a job is several words
        long=$(count $job "$folder/long")
        rm -rf "$folder/tables"
        # shellcheck disable=SC2086
        short=$(count $job "$folder/short")
        cost=$(((long - short) / (packets - 10)))
        line=$line,$cost
        case $job in tables*) ;; *) sum=$((sum + cost)) ;; esac
    done
    echo "$line,$(awk "BEGIN { printf \"%.2f\", $cost / $sum }")"
    if [ "$mode" = --check ] && [ $((100 * cost)) -gt $((130 * sum)) ]; then
        echo "tables: $cost instructions a packet are more than 1.30 times $sum" >&2
        exit 1
    fi
done
