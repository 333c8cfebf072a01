#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tools/demo.sh BUILD_DIR: a cluster of three nodes on this machine, the tour in C on it, the two
# examples of the README, in C and in C++ with coroutines, and everything gone again. Needs a build
# with tools and examples.
set -euo pipefail

die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

[ $# -eq 1 ] || die "usage: $0 BUILD_DIR"
build=$1
dqc=$build/tools/dqc
tour=$build/examples/c/demo
quickstart=$build/examples/c/quickstart
coroutine=$build/examples/cpp/coroutine
for program in "$dqc" "$build/tools/dqc-node" "$tour" "$quickstart" "$coroutine"; do
  [ -x "$program" ] || die "$program is not built"
done

start_s=60   # until the cluster serves
program_s=60 # for each program
stop_s=20    # until the cluster is gone

work=$(mktemp -d "${TMPDIR:-/tmp}/dqc-demo-XXXXXX")
lines=$work/cluster.txt
cluster='' # pid of dqc dev

cluster_runs() { [ -n "$cluster" ] && kill -0 "$cluster" 2>/dev/null; }

# SIGKILL takes the nodes along: each is bound to dqc's life.
stop_cluster() {
  [ -n "$cluster" ] || return 0
  kill -TERM "$cluster" 2>/dev/null || true
  local n
  for ((n = 0; n < stop_s * 10; n++)); do
    cluster_runs || break
    sleep 0.1
  done
  if cluster_runs; then kill -KILL "$cluster"; fi
  local code=0
  wait "$cluster" || code=$?
  cluster=''
  return "$code"
}

cleanup() {
  trap '' INT TERM HUP
  stop_cluster || true
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

echo "\$ dqc dev --nodes 3"
: >"$lines"
TMPDIR=$work "$dqc" dev --nodes 3 >"$lines" &
cluster=$!
for ((n = 0; n < start_s * 10; n++)); do
  if grep -q '^ready' "$lines"; then break; fi
  cluster_runs || die "the cluster did not start"
  sleep 0.1
done
grep -q '^ready' "$lines" || die "the cluster was not ready within $start_s s"
cat "$lines"

mapfile -t addresses < <(sed -n 's/^node [0-9]*: //p' "$lines")
[ "${#addresses[@]}" -eq 3 ] || die "expected three addresses"

printf '\n$ demo %s\n' "${addresses[*]}"
timeout --foreground -k 5 "$program_s" "$tour" "${addresses[@]}" || die "the tour in C failed"

dsn=$(sed -n 's/^dsn: //p' "$lines" | tail -n 1)
printf '\n$ quickstart %s\n' "$dsn"
timeout --foreground -k 5 "$program_s" "$quickstart" "$dsn" || die "the C example failed"

printf '\n$ coroutine %s\n' "$dsn"
timeout --foreground -k 5 "$program_s" "$coroutine" "$dsn" || die "the C++ example failed"

echo
stop_cluster || die "the cluster did not stop cleanly"
echo "demo: a cluster of 3 nodes was started, used from C and C++, and stopped"
