#!/bin/sh
# Instructions per captured packet of each stage of a job: callgrind's own cost of
# each line, added up by the module of src/ that the line is in. Lines of other crates
# that were inlined count for the module of the function; "other code" is functions of
# other crates and of libc, and the start-up.
#
#   benches/stages.sh                 -q, text, ndjson, check, overhead in shapes a, d
#   benches/stages.sh a check         one job
set -eu
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "stages: valgrind is not installed" >&2; exit 2; }
cargo build --quiet --locked --profile profiling --bin mqttdump --example generate
target=${CARGO_TARGET_DIR:-target}/profiling
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# stages SHAPE JOB...
stages() {
    shape=$1
    shift
    packets=20000
    [ "$shape" = d ] && packets=4000
    "$target/examples/generate" "$shape" $packets "$folder/capture"
    env -i TZ=UTC LC_ALL=C valgrind --tool=callgrind --dump-line=yes \
        --callgrind-out-file="$folder/out" "$target/mqttdump" "$@" "$folder/capture" \
        >/dev/null 2>&1
    awk -v job="$shape $*" -v packets=$packets '
        # Files (fl, fi, fe) and functions (fn), those of calls (c...) as well: by name
        # once, then by number.
        /^c?f[lien]=/ {
            key = $1
            sub(/^c?f[lie]=/, "file", key)
            sub(/^c?fn=/, "function", key)
            if (NF > 1) names[key] = $0
            if (/^f[lie]=/) file = names[key]
            if (/^fn=/) function_name = names[key]
            next
        }
        # The cost of a call is that of the lines called.
        /^calls=/ { getline; next }
        /^[0-9+*-]/ && NF == 2 {
            stage = "other code"
            if (file !~ /registry|rustc|\/rust\// && match(file, /(^|\/)src\/[a-z_]+/)) {
                stage = substr(file, RSTART, RLENGTH)
                sub(/.*src\//, "", stage)
            } else if (match(function_name, /mqttdump::[a-z_]+/)) {
                stage = substr(function_name, RSTART + 10, RLENGTH - 10)
            }
            cost[stage] += $2
        }
        END { for (stage in cost) printf "%s,%s,%d\n", job, stage, cost[stage] / packets }
    ' "$folder/out" | awk -F, '$3 > 0' | sort -t, -k3,3nr
}

echo "job,stage,per_packet"
if [ $# -gt 0 ]; then
    stages "$@"
else
    for shape in a d; do
        stages $shape -q -r
        stages $shape -r
        stages $shape --format ndjson -r
        stages $shape check
        stages $shape overhead
    done
fi
