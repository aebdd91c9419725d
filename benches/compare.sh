#!/bin/sh
# Whole processes beside their peers on the same files, one after the other: CPU
# seconds (user and system) and peak memory, medians of REPEAT runs.
#
#   benches/compare.sh [KINDS] [DIRECTORY]      default: "a b c d" /tmp/mqttdump-bench
#
# REPEAT=n (default 3). SCALE=n makes captures n times smaller, for a quick look.
# TSHARK= leaves tshark out, whose table of MQTT over large captures takes minutes.
# Captures are generated once and kept.
#
# Each job of ours is beside what comes nearest to it: `tcpdump -nn -A` prints
# headers and payloads, `tshark -Y mqtt` finds and dissects MQTT. The ratio is
# their CPU time by ours.
#
# Needs tcpdump, tshark and GNU time (Debian: apt install tcpdump tshark time).
set -eu
cd "$(dirname "$0")/.."
kinds=${1:-a b c d}
folder=${2:-/tmp/mqttdump-bench}
repeat=${REPEAT:-3}
scale=${SCALE:-1}
tshark=${TSHARK-tshark}
mkdir -p "$folder"

cargo build --quiet --locked --release --bin mqttdump --example generate
target=${CARGO_TARGET_DIR:-target}/release

# Prints "CPU-seconds MB" of a command: the medians.
measure() {
    for _ in $(seq "$repeat"); do
        /usr/bin/time -o "$folder/time" -f '%U %S %M' "$@" >/dev/null 2>&1 || true
        tail -n 1 "$folder/time"
    done | awk '{ print $1 + $2, $3 / 1024 }' | sort -n |
        awk '{ cpu[NR] = $1; memory[NR] = $2 } END { at = int((NR + 1) / 2); print cpu[at], memory[at] }'
}

# row KIND JOB "CPU MB" PEER CPU
row() {
    echo "$3 $5" | awk -v kind="$1" -v job="$2" -v peer="$4" '{
        printf "%-4s %-22s %8.2f %8.1f   %7.1f x %s\n", kind, job, $1, $2, ($1 > 0 ? $3 / $1 : 0), peer }'
}

printf '%-4s %-22s %8s %8s   %s\n' kind job 'CPU s' MB 'faster than'
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
    tcpdump=$(measure tcpdump -nn -A -r "$file")
    row "$kind" 'tcpdump -nn -A' "$tcpdump" itself "${tcpdump% *}"
    if [ -n "$tshark" ]; then
        mqtt=$(measure "$tshark" -r "$file" -Y mqtt)
        row "$kind" 'tshark -Y mqtt' "$mqtt" itself "${mqtt% *}"
    fi
    for job in '-q -r' '-r' '--format ndjson -r' check overhead; do
        # shellcheck disable=SC2086  # a job is several words
        ours=$(measure "$target/mqttdump" $job "$file")
        row "$kind" "mqttdump $job" "$ours" tcpdump "${tcpdump% *}"
        [ -z "$tshark" ] || row "$kind" "mqttdump $job" "$ours" tshark "${mqtt% *}"
    done
done
