#!/usr/bin/env bash
# Live capture under a flood, and how soon a line comes.
#
#   benches/live.sh [flood|latency]...          default: both
#
# flood: messages through a real Mosquitto on loopback, captured by
# `mqttdump -i lo` (lines to a file), `mqttdump -i lo -w`, and `tcpdump -i lo -w`,
# all with the same ring and the same filter, in turn. Prints for each the run
# with the fewest drops (of equals, the one with the least CPU time), and all
# runs above it.
#
# latency: one message after another; from the kernel's time of a packet to the
# moment when a reader at the other end of a pipe has its line.
#
# Runs in a network namespace of its own, so ports and other traffic do not
# matter: as root, or as a user who may create one. Ends what it has started.
#
#   MESSAGES=500000   published, at least; each is delivered once more
#   PUBLISHERS=4      clients that publish them
#   SIZE=64           bytes of a payload
#   QOS=0             of publishing and delivery; of others, mosquitto_pub leaves when its
#                     input ends, and publishes about half of them
#   REPEAT=5          runs of each program
#   RING=65536        KiB of the kernel's buffer
#   MQTTDUMP=FILE     the program, if it is not to be built
#   FOLDER=DIR        where captures are written, and removed again (default /tmp)
#
# Needs mosquitto, mosquitto_pub, mosquitto_sub, tcpdump, unshare, ip and GNU time
# (Debian: apt install mosquitto mosquitto-clients tcpdump util-linux iproute2 time).
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

missing=
for tool in mosquitto mosquitto_pub mosquitto_sub tcpdump unshare ip; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ -x /usr/bin/time ] || missing="$missing /usr/bin/time"
if [ -n "$missing" ]; then
    echo "$0: not found:$missing" >&2
    exit 2
fi

if [ "${INSIDE:-}" != yes ]; then
    if [ -z "${MQTTDUMP:-}" ]; then
        cargo build --quiet --release --bin mqttdump
        MQTTDUMP=$(realpath "${CARGO_TARGET_DIR:-target}/release/mqttdump")
    fi
    export MQTTDUMP INSIDE=yes
    own=$(realpath "benches/${0##*/}")
    if [ "$(id -u)" = 0 ]; then
        exec unshare --net "$own" "$@"
    fi
    exec unshare --map-root-user --net "$own" "$@"
fi

messages=${MESSAGES:-500000}
publishers=${PUBLISHERS:-4}
size=${SIZE:-64}
qos=${QOS:-0}
repeat=${REPEAT:-5}
ring=${RING:-65536}
port=1883
folder=$(mktemp -d "${FOLDER:-/tmp}/mqttdump-live.XXXXXX")
started=()
clean() {
    local pid
    for pid in ${started[@]+"${started[@]}"}; do
        kill "$pid" 2>/dev/null || true
    done
    wait
    rm -rf "$folder"
}
trap clean EXIT
trap 'exit 130' INT TERM

# So that who captures may write as anybody.
chmod 777 "$folder"
ip link set lo up
cat >"$folder/mosquitto.conf" <<EOF
listener $port 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
EOF
mosquitto -c "$folder/mosquitto.conf" >/dev/null 2>&1 &
started+=($!)
until mosquitto_pub -p $port -t ready -m 1 2>/dev/null; do sleep 0.1; done

each=$(((messages + publishers - 1) / publishers))
messages=$((each * publishers))

# Starts a program that captures, with GNU time around it; waits until it listens.
capture() {
    : >"$folder/said"
    # The program's own number, and not that of time, is the one to signal.
    /usr/bin/time -o "$folder/time" -f '%U %S %M' \
        sh -c 'echo $$ >"$0"; exec "$@"' "$folder/pid" "$@" >"$folder/out" 2>"$folder/said" &
    timed=$!
    until grep -q 'listening on' "$folder/said"; do
        kill -0 $timed 2>/dev/null || { cat "$folder/said" >&2; exit 2; }
        sleep 0.05
    done
}

# Ends it as Ctrl-C does.
release() {
    sleep 1
    kill -INT "$(cat "$folder/pid")"
    wait "$timed" || true
}

flood() {
    mosquitto_sub -p $port -q "$qos" -t 'flood/#' -C "$messages" >/dev/null &
    local subscriber=$! n publishing=()
    sleep 0.5
    for n in $(seq "$publishers"); do
        seq -f "%0${size}.0f" "$each" | mosquitto_pub -p $port -q "$qos" -t "flood/$n" -l &
        publishing+=($!)
    done
    wait "${publishing[@]}"
    # QoS 0: what the broker itself has dropped never comes.
    for n in $(seq 100); do
        kill -0 $subscriber 2>/dev/null || break
        sleep 0.1
    done
    kill $subscriber 2>/dev/null || true
    wait $subscriber 2>/dev/null || true
}

# The number before words that a program said at its end.
said() {
    sed -n "s/^[^0-9]*\([0-9][0-9]*\) $1.*/\1/p" "$folder/said" | tail -n 1
}

# One line for a run: its name and what it came to.
run() {
    local name=$1 began ended
    shift
    capture "$@"
    began=$EPOCHREALTIME
    flood
    ended=$EPOCHREALTIME
    release
    # tcpdump gives what it was told to keep; nothing else counts the lines.
    echo "$name $(said 'packets captured') $(said 'packets dropped by kernel')" \
        "$(said 'messages shown') $(tail -n 1 "$folder/time") $began $ended" |
        awk '{ shown = NF > 8 ? $4 : "-"; at = NF > 8 ? 5 : 4
               printf "%-12s %9d %9d %9s %7.2f %7.1f %6.1f\n",
                   $1, $2, $3, shown, $at + $(at + 1), $(at + 2) / 1024, $(at + 4) - $(at + 3) }' |
        tee -a "$folder/runs"
    rm -f "$folder"/*.pcap "$folder/out"
}

floods() {
    echo "flood: $messages messages of QoS $qos, $size B, by $publishers clients, and the same to a subscriber;" \
        "ring of $ring KiB; $(nproc) CPUs; $repeat runs each"
    printf '%-12s %9s %9s %9s %7s %7s %6s\n' program captured dropped messages 'CPU s' 'MB' 'wall s'
    : >"$folder/runs"
    local filter="tcp port $port" n
    for n in $(seq "$repeat"); do
        run mqttdump "$MQTTDUMP" -Z root -B "$ring" -i lo $filter
        run mqttdump-w "$MQTTDUMP" -Z root -B "$ring" -i lo -w "$folder/ours.pcap" $filter
        run tcpdump-w tcpdump -Z root -B "$ring" -s 0 -i lo -w "$folder/theirs.pcap" $filter
    done
    echo 'best of each:'
    sort -k1,1 -k3,3n -k5,5n "$folder/runs" | awk '!seen[$1]++'
}

latency() {
    local count=${COUNT:-1000}
    # A reader that notes when it has a line.
    # shellcheck disable=SC2016
    sh -c 'echo $$ >"$0"; exec "$@"' "$folder/pid" \
        "$MQTTDUMP" -Z root -B "$ring" -i lo -tt --type PUBLISH "tcp dst port $port" 2>"$folder/said" |
        while read -r at rest; do
            case $at in
            [0-9]*) echo "$EPOCHREALTIME $at" ;;
            esac
        done >"$folder/seen" &
    started+=($!)
    until grep -q 'listening on' "$folder/said"; do sleep 0.05; done
    for _ in $(seq "$count"); do
        sleep "0.0$((RANDOM % 30 + 10))"
        echo on
    done | mosquitto_pub -p $port -t latency -l
    sleep 1
    kill -INT "$(cat "$folder/pid")"
    sleep 0.5
    awk '{ printf "%.3f\n", ($1 - $2) * 1e3 }' "$folder/seen" | sort -n | awk '
        { all[NR] = $1 }
        function at(share) { return all[int((NR - 1) * share) + 1] }
        END { if (NR == 0) exit 1
              printf "latency: %d lines, ms from packet to line: median %.1f, 90 %% %.1f, 99 %% %.1f, most %.1f\n",
                  NR, at(0.5), at(0.9), at(0.99), all[NR] }'
}

for what in "${@:-flood latency}"; do
    case $what in
    'flood latency') floods; latency ;;
    flood) floods ;;
    latency) latency ;;
    *) echo "$0: flood or latency, not $what" >&2; exit 2 ;;
    esac
done
