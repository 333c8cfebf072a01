#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tool_test.sh BUILD_DIR: the program `dqc dev` as its users meet it: what it prints, its signals and
# exit codes, data that outlives it, nodes that do not; and every example on it. (DevCluster, which
# is behind it, is tested on every server by cluster_test.cpp.)
set -euo pipefail

build=$1
dqc=$build/tools/dqc
work=$(mktemp -d "${TMPDIR:-/tmp}/dqc-tool-XXXXXX")
dev='' # pid of dqc dev
lines=''

die() {
  printf 'tool_test: %s\n' "$*" >&2
  if [ -n "$lines" ]; then sed 's/^/  | /' "$lines" "$lines.err" >&2; fi
  exit 1
}

cleanup() {
  if [ -n "$dev" ]; then kill -KILL "$dev" 2>/dev/null || true; fi # its nodes go with it
  rm -rf "$work"
}
trap cleanup EXIT

# until <what> <command...>: it must succeed within 30 s.
until_true() {
  local what=$1 n
  shift
  for ((n = 0; n < 600; n++)); do
    if "$@"; then return 0; fi
    sleep 0.05
  done
  die "not within 30 s: $what"
}

ready() { kill -0 "$dev" 2>/dev/null || die "dqc dev ended"; grep -q '^ready' "$lines"; }

# start <option...>: sets dev, lines, dsn, addresses and nodes (their pids).
start() {
  lines=$(mktemp "$work/lines-XXXXXX")
  TMPDIR=$work "$dqc" dev "$@" >"$lines" 2>"$lines.err" &
  dev=$!
  until_true "dqc dev $* is ready" ready
  dsn=$(sed -n 's/^dsn: //p' "$lines" | tail -n 1)
  mapfile -t addresses < <(sed -n 's/^node [0-9]*: //p' "$lines")
  mapfile -t nodes < <(sed -n "s/^\([0-9]*\) (dqc-node) . $dev .*/\1/p" /proc/[0-9]*/stat 2>/dev/null)
  [ "${#nodes[@]}" -eq "${#addresses[@]}" ] || die "${#nodes[@]} processes, ${#addresses[@]} addresses"
  local leader
  leader=$(sed -n 's/^leader: //p' "$lines")
  [[ " ${addresses[*]} " = *" $leader "* ]] || die "the leader is none of the nodes: '$leader'"
  [[ $dsn = "dqlite://$leader"*/app ]] || die "not a DSN with the leader in front: '$dsn'"
}

nodes_gone() {
  local pid
  for pid in "${nodes[@]}"; do
    if [ -d "/proc/$pid" ]; then return 1; fi
  done
}

# stop <signal>: it ends well, and so do its nodes.
stop() {
  local code=0
  kill "-$1" "$dev"
  wait "$dev" || code=$?
  dev=''
  [ "$code" -eq 0 ] || die "exit code $code after SIG$1"
  grep -q '^stopped$' "$lines" || die "it does not say that it stopped"
  nodes_gone || die "a node is left after SIG$1"
}

# expect <text> <command...>: it succeeds, and prints the text as a line.
expect() {
  local text=$1 output
  shift
  output=$("$@" 2>&1) || die "$* failed: $output"
  grep -qxF -- "$text" <<<"$output" || die "$* does not say '$text': $output"
}

people() { "$build/examples/c/quickstart" "$1" | grep -cx 'Ada 1815' || true; }

echo "-- without arguments: one node, and a folder that goes with it; the examples for one node"
start
[ "${#addresses[@]}" -eq 1 ] || die "${#addresses[@]} nodes by default"
data=$(sed -n 's/^data: \(.*\) (removed at the end)$/\1/p' "$lines")
[ -d "$data" ] || die "no folder '$data'"
expect 'Ada 1815' "$build/examples/c/quickstart" "$dsn"
for example in "$build"/examples/c/poll_loop "$build"/examples/c/queue_thread "$build"/examples/cpp/quickstart; do
  output=$(timeout 30 "$example" "$dsn" 2>&1) || die "$example failed: $output"
  [ -n "$output" ] || die "$example says nothing"
done
stop INT
[ ! -e "$data" ] || die "$data is left"

echo "-- a folder that stays: the data outlives a stop, and a kill"
start --dir "$work/data"
first=${addresses[0]}
[ "$(people "$dsn")" -eq 1 ] || die "not one row"
stop TERM
start --dir "$work/data"
[ "${addresses[0]}" = "$first" ] || die "another address: ${addresses[0]}, before $first"
[ "$(people "$dsn")" -eq 2 ] || die "the data did not survive a restart"
kill -KILL "$dev"
wait "$dev" 2>/dev/null || true
dev=''
until_true "the nodes go with a killed dqc" nodes_gone
start --dir "$work/data"
[ "$(people "$dsn")" -eq 3 ] || die "the data did not survive a kill"
stop HUP

echo "-- three nodes from a port on; the examples for a cluster"
port=$(python3 - <<'PYTHON'
import socket

def listens(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            return s.getsockname()[1]
        except (OSError, OverflowError):
            return 0

while True:  # three in a row
    first = listens(0)
    if listens(first + 1) and listens(first + 2):
        print(first)
        break
PYTHON
)
start --nodes 3 --port "$port"
[ "${addresses[*]}" = "127.0.0.1:$port 127.0.0.1:$((port + 1)) 127.0.0.1:$((port + 2))" ] ||
  die "other ports than $port and on: ${addresses[*]}"
expect 'everything went as it should' "$build/examples/c/demo" "${addresses[@]}"
expect 'Ada 1815' "$build/examples/c/quickstart" "$dsn"
expect 'small: 11, large: 500' "$build/examples/cpp/coroutine" "$dsn"
"$dqc" cluster "$dsn" >/dev/null || die "dqc cluster failed"
stop TERM

echo "-- refused"
for arguments in "dev --nodes 6" "dev --nodes 0" "dev --port 70000" "dev nonsense" ""; do
  code=0
  # shellcheck disable=SC2086
  "$dqc" $arguments >/dev/null 2>&1 || code=$?
  [ "$code" -eq 2 ] || die "dqc $arguments: exit code $code"
done
code=0
"$dqc" dev --dir "" >/dev/null 2>"$work/err" || code=$?
[ "$code" -eq 2 ] && grep -q -- '--dir.*empty' "$work/err" || die "dqc dev --dir '': exit code $code"
code=0
"$dqc" dev --node-command /nonexistent >/dev/null 2>"$work/err" || code=$?
[ "$code" -eq 1 ] && grep -q '^dqc: ' "$work/err" || die "a missing node program: exit code $code"
echo "tool_test: passed"
