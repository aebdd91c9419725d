#!/usr/bin/env bash
# Endless running, in a hurry: memory of reading, `check` and `overhead` while
# connections come and go.
#
#   benches/soak.sh [short|vanish|live]...      default: all three
#
# short: an endless pipe of connections of 30 packets, one after another, an hour
# of a broker with 10,000 packets a second (PACKETS=36000000).
#
# vanish: connections that are never closed, one every ten seconds of capture
# time, for a month (SILENT=6500000 packets): what is idle must be given up.
#
# live: clients of a real Mosquitto on loopback, some hundreds a second for LIVE=180
# seconds, each connects, publishes once and leaves; in a network namespace of its
# own (as root, or a user who may create one).
#
# Prints the program's own memory (RssAnon: without the kernel's ring and the
# program itself) at ten times of each run, before the account at the end. It fills
# up to bounds (src/limits.rs: 65,536 sessions that `check` remembers, 16,384
# connections of which `overhead` keeps accounts), and then is flat: the most of
# the second half is not above the most of the first by more than a twentieth and
# 1 MB. Where it is, the exit status is 1.
#
#   MQTTDUMP=FILE  the program, if it is not to be built (GENERATE likewise)
#
# live needs mosquitto, mosquitto_pub, unshare and ip.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

whats=("$@")
[ $# -gt 0 ] || whats=(short vanish live)
packets=${PACKETS:-36000000}
silent=${SILENT:-6500000}
if [ -z "${MQTTDUMP:-}" ] || [ -z "${GENERATE:-}" ]; then
    cargo build --quiet --release --bin mqttdump --example generate
    target=$(realpath "${CARGO_TARGET_DIR:-target}/release")
    MQTTDUMP=${MQTTDUMP:-$target/mqttdump}
    GENERATE=${GENERATE:-$target/examples/generate}
fi
export MQTTDUMP GENERATE

if [ "${INSIDE:-}" != yes ] && [[ " ${whats[*]} " = *' live '* ]]; then
    missing=
    for tool in mosquitto mosquitto_pub unshare ip; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    if [ -n "$missing" ]; then
        echo "$0: live: not found:$missing" >&2
        exit 2
    fi
    export INSIDE=yes
    own=$(realpath "benches/${0##*/}")
    if [ "$(id -u)" = 0 ]; then
        exec unshare --net "$own" "${whats[@]}"
    fi
    exec unshare --map-root-user --net "$own" "${whats[@]}"
fi

folder=$(mktemp -d "${FOLDER:-/tmp}/mqttdump-soak.XXXXXX")
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

# Notes the memory of a program (in KiB) while another is there: when nothing comes
# any more, what was counted is put together, and that is another matter.
watch_memory() {
    local pid=$1 name=$2 while=$4
    while kill -0 "$while" 2>/dev/null; do
        sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2>/dev/null || true
        sleep "$3"
    done >"$folder/$name"
}

flat=yes
report() {
    awk -v name="$1" -v said="$2" '
        $1 > 0 { all[++n] = $1 }
        END {
            if (n < 10) { print name ": too short to tell"; exit 1 }
            printf "%-10s MB", name
            for (i = 1; i <= 10; i++) printf " %6.1f", all[int(i * n / 10)] / 1024
            for (i = 1; i <= n; i++) {
                half = i > n / 2
                if (all[i] > most[half]) most[half] = all[i]
            }
            grows = most[1] > most[0] * 1.05 + 1024
            print (grows ? "  GROWS " : "  flat ") said
            exit grows
        }' "$folder/$1" || flat=no
}

# From the generator through a pipe, which nobody can read twice.
piped() {
    local kind=$1 count=$2 name
    shift 2
    for name in reading check overhead; do
        case $name in
        reading) set -- -r - ;;
        check) set -- check -l - ;;
        overhead) set -- overhead --every 24h - ;;
        esac
        mkfifo "$folder/pipe"
        "$GENERATE" "$kind" "$count" "$folder/pipe" &
        local source=$!
        started+=("$source")
        local began=$EPOCHREALTIME status=0
        "$MQTTDUMP" "$@" <"$folder/pipe" >/dev/null 2>"$folder/said" &
        local pid=$!
        started+=("$pid")
        watch_memory "$pid" "$name" 0.2 "$source" &
        wait "$pid" || status=$?
        wait
        [ "$status" -lt 2 ] || { cat "$folder/said" >&2; exit 2; }
        report "$name" "$(echo "$EPOCHREALTIME $began $count" |
            awk '{ printf "(%.1f s, %.1f million packets a second)", $1 - $2, $3 / ($1 - $2) / 1e6 }')"
        rm -f "$folder/pipe"
    done
}

# CONNECT of one of 4,000 clients, PUBLISH of QoS 1, DISCONNECT, over and over, with
# nothing but the shell: starting programs takes longer. Not as fast as it can, or
# the rate would be that of the machine, and memory goes with it.
# To several addresses, because ports that were just used have to rest.
client() {
    local n=0 answer
    exec 4<>"$folder/never"
    while [ $SECONDS -lt "$2" ]; do
        n=$((n + 1))
        exec 3<>"/dev/tcp/127.0.0.$((n % 8 + 1))/1883" || continue
        printf '\x10\x14\0\x04MQTT\x04\x02\0\x3c\0\x08%s%07d\x32\x0a\0\x04soak\0\x01on\xe0\0' "$1" $((n % 4000)) >&3
        # Until the broker closes.
        IFS= read -r -N 100 answer <&3 || true
        exec 3>&-
        read -r -t 0.008 -u 4 answer || true
    done
}

live() {
    local seconds=${LIVE:-180} port=1883 names=(reading check overhead) pids=() watching=() name n
    chmod 777 "$folder"
    ip link set lo up
    printf 'listener %s\nallow_anonymous true\n' $port >"$folder/mosquitto.conf"
    mosquitto -c "$folder/mosquitto.conf" >/dev/null 2>&1 &
    local broker=$!
    started+=("$broker")
    until mosquitto_pub -p $port -t ready -m 1 2>/dev/null; do sleep 0.1; done
    for name in "${names[@]}"; do
        case $name in
        reading) set -- -i lo ;;
        check) set -- check -i lo ;;
        overhead) set -- overhead -i lo --every 10s ;;
        esac
        : >"$folder/said-$name"
        "$MQTTDUMP" "$@" -Z root >/dev/null 2>"$folder/said-$name" &
        pids+=($!)
        started+=($!)
        until grep -q 'listening on' "$folder/said-$name"; do sleep 0.1; done
        watch_memory "$!" "$name" 1 $$ &
        watching+=($!)
    done
    local end=$((SECONDS + seconds)) clients=()
    mkfifo "$folder/never"
    for n in 1 2 3 4; do
        client "$n" "$end" 2>/dev/null &
        clients+=($!)
        started+=($!)
    done
    wait "${clients[@]}"
    kill "${watching[@]}"
    kill -INT "${pids[@]}"
    wait "${pids[@]}" || true
    kill "$broker"
    wait
    for name in "${names[@]}"; do
        report "$name" "($(grep -h 'packets captured\|dropped by kernel' "$folder/said-$name" |
            sed 's/^mqttdump: //' | paste -sd, -))"
    done
}

for what in "${whats[@]}"; do
    case $what in
    short)
        echo "short: $packets packets of connections that are closed, on a pipe"
        piped e "$packets"
        ;;
    vanish)
        echo "vanish: $silent packets of connections that fall silent, one every ten seconds, on a pipe"
        piped f "$silent"
        ;;
    live)
        echo "live: clients of Mosquitto that come and go for ${LIVE:-180} s"
        live
        ;;
    *)
        echo "$0: short, vanish or live, not $what" >&2
        exit 2
        ;;
    esac
done
[ $flat = yes ]
