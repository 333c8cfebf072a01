#!/usr/bin/env bash
# Compiles each public header by itself, twice in one file, as every language it promises to be,
# with gcc and, where it is installed, clang; a compiler that is missing is named.
#   check.sh <C include dir> [<C++ include dir>]
set -euo pipefail

c_dir=$1
cpp_dir=${2:-}
flags=(-Wall -Wextra -pedantic -Werror -fsyntax-only)
count=0
failures=0
declare -A missing=()

# compile <compiler> <language> <standard> <header> [flag...]
compile() {
  local compiler=$1 language=$2 standard=$3 header=$4
  shift 4
  if ! command -v "$compiler" >/dev/null; then
    missing[$compiler]=yes
    return 0
  fi
  count=$((count + 1))
  if ! printf '#include <%s>\n#include <%s>\n' "$header" "$header" |
      "$compiler" -x "$language" "-std=$standard" "${flags[@]}" -I"$c_dir" "$@" -; then
    printf '%s: fails as %s with %s\n' "$header" "$standard" "$compiler" >&2
    failures=$((failures + 1))
  fi
}

for standard in c99 c11 c17 c2x; do
  compile gcc c "$standard" dqclient/dqclient.h
  compile clang c "$standard" dqclient/dqclient.h
done
for standard in c++11 c++14 c++17 c++20 c++2b; do
  compile g++ c++ "$standard" dqclient/dqclient.h
  compile clang++ c++ "$standard" dqclient/dqclient.h
done

# libuv's own header wants POSIX types, which strict ISO modes hide.
if [ -f "$c_dir/dqclient/dqclient_uv.h" ]; then
  compile gcc c gnu99 dqclient/dqclient_uv.h
  compile clang c gnu99 dqclient/dqclient_uv.h
  compile g++ c++ gnu++17 dqclient/dqclient_uv.h
fi

# The facade is C++17; what has coroutines in it is C++20.
if [ -n "$cpp_dir" ] && [ -d "$cpp_dir" ]; then
  while IFS= read -r file; do
    header=${file#"$cpp_dir"/}
    standards=(c++17 c++20)
    if grep -q 'coro' "$file"; then standards=(c++20); fi
    for standard in "${standards[@]}"; do
      compile g++ c++ "$standard" "$header" -I"$cpp_dir"
      compile clang++ c++ "$standard" "$header" -I"$cpp_dir"
    done
  done < <(find "$cpp_dir" -name '*.hpp' | sort)
fi

if [ "$count" -eq 0 ]; then
  echo "no compiler found, nothing was checked" >&2
  exit 1
fi
echo "$count compilations, $failures failed"
if [ "${#missing[@]}" -gt 0 ]; then
  echo "SKIPPED, not installed: ${!missing[*]} (./run setup installs clang)"
fi
[ "$failures" -eq 0 ]
