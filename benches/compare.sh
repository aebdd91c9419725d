#!/bin/sh
# Whole runs of `mqttdump -r` against `tcpdump -nn -A -r` on the same files, one
# after the other: CPU seconds (user and system), peak memory, and the ratio.
#
#   benches/compare.sh [KINDS] [DIRECTORY]      default: "a b c d" /tmp/mqttdump-bench
#
# REPEAT=n (default 3) takes the fastest of n runs. SCALE=n makes captures n
# times smaller, for a quick look. Captures are generated once and kept.
# Needs tcpdump and GNU time (Debian: apt install tcpdump time).
set -eu
cd "$(dirname "$0")/.."
kinds=${1:-a b c d}
folder=${2:-/tmp/mqttdump-bench}
repeat=${REPEAT:-3}
scale=${SCALE:-1}
mkdir -p "$folder"

cargo build --quiet --release --bin mqttdump --example generate
target=${CARGO_TARGET_DIR:-target}/release

# Prints "CPU-seconds KiB" of the fastest run of a command.
measure() {
    for _ in $(seq "$repeat"); do
        /usr/bin/time -o "$folder/time" -f '%U %S %M' "$@" >/dev/null 2>&1
        tail -n 1 "$folder/time"
    done | awk '{ cpu = $1 + $2 } NR == 1 || cpu < best { best = cpu; memory = $3 }
                END { print best, memory }'
}

printf '%-4s %10s %8s | %12s %9s | %12s %9s | %7s\n' \
    kind packets MB 'tcpdump s' MB 'mqttdump s' MB ratio
for kind in $kinds; do
    case $kind in
    a) packets=1000000 ;;
    b) packets=968000 ;;
    c) packets=2000000 ;;
    d) packets=400000 ;;
    esac
    packets=$((packets / scale))
    file=$folder/$kind-$packets.pcap
    if [ ! -f "$file" ]; then
        "$target/examples/generate" "$kind" "$packets" "$file"
    fi
    cat "$file" >/dev/null
    theirs=$(measure tcpdump -nn -A -r "$file")
    ours=$(measure "$target/mqttdump" -r "$file")
    echo "$kind $packets $(wc -c <"$file") $theirs $ours" | awk '{
        printf "%-4s %10d %8.0f | %12.2f %9.1f | %12.2f %9.1f | %7.1f\n",
            $1, $2, $3 / 1e6, $4, $5 / 1024, $6, $7 / 1024, ($6 > 0 ? $4 / $6 : 0) }'
done
