#!/usr/bin/env bash
# In the container: sets up a simulated house, checks it, and runs `up` for CYCLES cycles, one every
# INTERVAL seconds.
set -euo pipefail
unset PWD  # a container that is started without a shell has none
modbus=15020 api=18080 port=14200
simulation=() up=()
trap 'kill "${up[@]}" "${simulation[@]}" 2>/dev/null || true; wait' EXIT

step() { printf '%4d s    %s\n' "$SECONDS" "$*"; }

try() { # seconds, command: until it succeeds
    for ((second = 0; second < $1; second++)); do
        if "${@:2}" >/dev/null 2>&1; then return; fi
        sleep 1
    done
    "${@:2}"
}

cycles() { # how many are in the history
    python -c "import sqlite3
print(sqlite3.connect('/data/history.db').execute('SELECT COUNT(*) FROM cycles').fetchone()[0])"
}

at_least() { [ "$(cycles)" -ge "$1" ]; }

memory() {
    step "After $(cycles) cycles, memory in MB (PSS):"
    for pid in "${up[0]}" $(cat /proc/"${up[0]}"/task/"${up[0]}"/children); do
        name=$(cat /proc/"$pid"/comm)
        awk -v name="${name/#easee*/up}" '/^Pss:/ {printf "          %-7s %d\n", name, $2 / 1024}' \
            /proc/"$pid"/smaps_rollup
    done
}

! touch /opt/written 2>/dev/null || { echo "The program may change itself"; exit 1; }
easee-balancer simulate --modbus-port $modbus --api-port $api --day variable --start 10:30 \
    >/data/simulation.log & simulation=($!)
try 60 grep --quiet "House ready" /data/simulation.log
EASEE_PASSWORD=simulated easee-balancer setup --user-name owner@example.com --fuse 25 \
    --inverter 127.0.0.1:$modbus --api http://127.0.0.1:$api
step "setup is done; check:"
easee-balancer check
step "up, until $CYCLES cycles are in the history:"
easee-balancer up --port $port & up=($!)
try 240 at_least 1
export PREFECT_API_URL=http://127.0.0.1:$port/api
prefect deployment schedule create balance/Balance --interval "$INTERVAL" --replace --accept-yes \
    >/dev/null
memory
try $((CYCLES * (INTERVAL + 10) + 240)) at_least "$CYCLES"
memory
try 120 python deployments/container/healthy.py
step "The health check is content"
