#!/usr/bin/env bash
# Installs a build into a temporary prefix, compares what landed there with manifest.txt, then
# builds and runs one C program against it in every way a user would: CMake and pkg-config, shared
# and static, always with a C linker only; and adds the source tree to another CMake project.
#   run.sh [--update] <build folder>
set -euo pipefail

update=no
if [ "${1:-}" = "--update" ]; then
  update=yes
  shift
fi
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/moved/prefix

# quietly <command...>: its output is shown only where it fails.
quietly() {
  "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; echo "failed: $*" >&2; exit 1; }
}

# Installed in one place and moved to another: nothing installed may remember where it was.
quietly cmake --install "$build" --prefix "$work/prefix" --component dqclient
mkdir "$work/moved"
mv "$work/prefix" "$prefix"
pc=$(find "$prefix" -name dqclient.pc)
libdir=$(dirname "$(dirname "$pc")")
version=$(sed -n 's/^Version: //p' "$pc")

manifest() {
  (cd "$prefix" && find . -type f -o -type l) | sed -e "s|^\./||" \
    -e "s|^${libdir#"$prefix"/}/|@libdir@/|" \
    -e "s|\.so\.$version\$|.so.@version@|" -e "s|\.so\.${version%.*}\$|.so.@soversion@|" \
    -e 's|dqclientTargets-[a-z]*\.cmake|dqclientTargets-@config@.cmake|' | LC_ALL=C sort
}
if [ "$update" = yes ]; then
  manifest >"$here/manifest.txt"
  echo "wrote $(wc -l <"$here/manifest.txt") lines of manifest"
  exit 0
fi
if ! diff -u --label manifest.txt --label installed "$here/manifest.txt" <(manifest); then
  echo "what is installed changed: if that is meant, run tests/install/run.sh --update <build>" >&2
  exit 1
fi
if grep -rIlF -e "$source" -e "$build" "$prefix" >&2; then
  echo "the files above are installed and name the source or build folder" >&2
  exit 1
fi

# run_program <name> <program> <yes|no: does it load libdqclient.so?>
run_program() {
  local loads=no
  if readelf -d "$2" | grep -q 'NEEDED.*libdqclient'; then loads=yes; fi
  if [ "$loads" != "$3" ]; then
    echo "$1: linked to libdqclient.so: $loads, expected: $3" >&2
    exit 1
  fi
  quietly env LD_LIBRARY_PATH="$libdir" "$2" "$version"
  echo "ok  $1"
}

for kind in shared static; do
  quietly cmake -G Ninja -S "$here/program" -B "$work/cmake-$kind" -DCMAKE_PREFIX_PATH="$prefix" \
    -DDQCLIENT_TARGET="dqclient::$kind"
  quietly cmake --build "$work/cmake-$kind"
  loads=yes
  if [ "$kind" = static ]; then loads=no; fi
  run_program "CMake, $kind" "$work/cmake-$kind/program" "$loads"
done

export PKG_CONFIG_PATH="$libdir/pkgconfig"
read -ra shared_flags <<<"$(pkg-config --cflags --libs dqclient)"
quietly cc -std=c99 "$here/program/program.c" -o "$work/pc-shared" "${shared_flags[@]}"
run_program "pkg-config, shared" "$work/pc-shared" yes

# Without the shared library in the folder, -ldqclient can only mean the static one.
rm "$libdir"/libdqclient.so*
read -ra static_flags <<<"$(pkg-config --static --cflags --libs dqclient)"
quietly cc -std=c99 "$here/program/program.c" -o "$work/pc-static" "${static_flags[@]}"
run_program "pkg-config, static" "$work/pc-static" no

# As a subfolder of another project: configured only, since building it is what this build did.
quietly cmake -G Ninja -S "$here/subproject" -B "$work/subproject" -DDQCLIENT_SOURCE="$source"
echo "ok  add_subdirectory"
