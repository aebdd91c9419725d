#!/bin/sh
# Instructions per captured packet of the main jobs, counted by valgrind's
# callgrind: the same on any machine and under any load.
#
#   benches/instructions.sh           print the table
#   benches/instructions.sh --check   fail if a job grew by more than 3 % over
#                                     benches/instructions.csv
#   benches/instructions.sh --bless   write benches/instructions.csv
#
# A figure is the difference between a long and a short capture of the same
# shape, divided by the difference in packets; the last column of the table is
# the start-up. Shapes: a, small messages over 1,000 connections; d, one flood
# with ten control packets in a captured packet.
#
# --check is skipped, with a message, where valgrind or the toolchain of the
# recorded figures is missing.
set -eu
cd "$(dirname "$0")/.."
recorded=benches/instructions.csv
toolchain=$(rustc --version)
mode=${1:-}

if ! command -v valgrind >/dev/null; then
    echo "instructions: skipped: valgrind is not installed"
    exit 0
fi
if [ "$mode" = --check ] && ! head -n 1 "$recorded" | grep -qF "# $toolchain"; then
    echo "instructions: skipped: $recorded was recorded with $(head -n 1 "$recorded" | cut -c3-), this is $toolchain"
    exit 0
fi

cargo build --quiet --locked --release --bin mqttdump --example generate
target=${CARGO_TARGET_DIR:-target}/release
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

count() {
    env -i TZ=UTC LC_ALL=C valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$target/mqttdump" "$@" 2>&1 >/dev/null | awk '/Collected :/ { print $4 }'
}

for shape in a d; do
    packets=20000
    [ $shape = d ] && packets=4000
    "$target/examples/generate" $shape $packets "$folder/long"
    "$target/examples/generate" $shape 10 "$folder/short"
    for job in "-q -r" "-r" "--format ndjson -r" "check" "overhead"; do
        # shellcheck disable=SC2086  # a job is several words
        long=$(count $job "$folder/long") short=$(count $job "$folder/short")
        echo "$shape,${job% -r},$(((long - short) / (packets - 10))),$short"
    done
done >"$folder/now"
sed -i 's/,-r,/,text,/' "$folder/now"

case $mode in
--bless)
    { echo "# $toolchain"; echo "shape,job,per_packet,start_up"; cat "$folder/now"; } >"$recorded"
    ;;
--check)
    # 3 %, and a few instructions for jobs that need few.
    grep -v '^#' "$recorded" | awk -F, '
        NR == FNR { before[$1 "," $2] = $3; next }
        {
            was = before[$1 "," $2]
            if (was == "") { print "instructions: no figure for " $1 "," $2; failed = 1 }
            else if ($3 > was * 1.03 + 20) {
                print "instructions: " $1 "," $2 " needs " $3 " a packet, " was " is recorded"
                failed = 1
            }
        }
        END { if (!failed) print "instructions: no job grew by more than 3 %"; exit failed }
    ' - "$folder/now"
    ;;
*)
    column -s, -t "$folder/now"
    ;;
esac
