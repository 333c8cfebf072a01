#!/usr/bin/env bash
# The shared library exports exactly the functions listed in symbols.txt: an addition is a line in
# a review, every function of the headers is there, and nothing of C++ or libuv leaks out.
#   check_symbols.sh [--update] <libdqclient.so>
set -euo pipefail

update=no
if [ "${1:-}" = "--update" ]; then
  update=yes
  shift
fi
library=$1
golden=$(dirname "${BASH_SOURCE[0]}")/symbols.txt

# The version nodes themselves (DQC_0) are absolute symbols and not part of the list.
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
  LC_ALL=C sort -u)

declared=$(cat "$(dirname "${BASH_SOURCE[0]}")"/../../capi/include/dqclient/*.h | tr '\n' ' ' |
  grep -oE 'DQC_API [^;]*;' | grep -oE 'DQC_CALL +dqc_[a-z0-9_]+' | awk '{ print $2 }' | LC_ALL=C sort -u)
if ! diff -u --label headers --label "$(basename "$library")" <(printf '%s\n' "$declared") \
    <(printf '%s\n' "$exported"); then
  echo "what the headers declare is not what the library exports" >&2
  exit 1
fi

foreign=$(grep -v '^dqc_' <<<"$exported" || true)
if [ -n "$foreign" ]; then
  printf 'exported, but not a dqc_ symbol:\n%s\n' "$foreign" >&2
  exit 1
fi

if [ "$update" = yes ]; then
  printf '%s\n' "$exported" >"$golden"
  echo "wrote $(wc -l <"$golden") symbols"
  exit 0
fi
if [ ! -f "$golden" ]; then
  echo "tests/abi/symbols.txt is missing: make it with tests/abi/check_symbols.sh --update <library>" >&2
  exit 1
fi
if ! diff -u --label symbols.txt --label "$(basename "$library")" "$golden" <(printf '%s\n' "$exported"); then
  echo "the exported symbols changed: if that is meant, run tests/abi/check_symbols.sh --update" >&2
  exit 1
fi
echo "$(wc -l <"$golden") symbols, as listed"
