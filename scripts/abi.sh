#!/usr/bin/env bash
# Compares the C interface with the committed one (cpp/abi/rtvoice.abi): scripts/abi.sh [--update] [INCLUDE]. Names may be added; whatever a game that
# was built before relies on may not change: functions, types, the layout of structs, the values of enums. Exit 0 same, 1 changed, 3 cannot tell.
# --update writes down the interface as it is now: for a new release that breaks with the old one, or a struct that has grown at its end.
set -euo pipefail
cd "$(dirname "$0")/.."
kept=cpp/abi/rtvoice.abi
update=
[ "${1:-}" = --update ] && { update=yes; shift; }
include=${1:-cpp/include}
for tool in abidw abidiff cc; do
  command -v $tool >/dev/null || { echo "$tool is missing: apt-get install abigail-tools gcc" >&2; exit 3; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The header, each function with an empty body: what is behind it, 1 MB of engine types, is nobody's business. That the library exports
# just the header's names is tests/test_cmake_install.py's.
cc -E -P "$include/rtvoice/rtvoice.h" | tr '\n' ' ' | sed -E 's/(rtv_[a-z_]+\([^;{}]*\)) *;/\1 { __builtin_trap(); }\n/g' >"$work/interface.c"
# An enum whose values a struct holds as uint32_t is otherwise out of abidiff's sight.
sed -n -E 's/^typedef enum (rtv_[a-z_]+).*/void enum_\1(\1 value) { (void)value; }/p' "$include/rtvoice/rtvoice.h" >>"$work/interface.c"
cc -std=c99 -g -O0 -fPIC -shared -fno-eliminate-unused-debug-types -Wno-return-type -o "$work/librtvoice.so.0" "$work/interface.c"
if [ -n "$update" ]; then
  abidw --no-show-locs --no-corpus-path --no-comp-dir-path --out-file "$kept" "$work/librtvoice.so.0"
  sed -i -E "s#$work/##g" "$kept"
  echo "wrote $kept"
  exit 0
fi
status=0
abidiff --no-show-locs --no-added-syms "$kept" "$work/librtvoice.so.0" || status=$?
[ "$status" -eq 0 ] && { echo "the C interface is the committed one, or has more names"; exit 0; }
[ $((status & 3)) -ne 0 ] && { echo "abidiff failed with $status" >&2; exit 3; }
echo "the C interface has changed: take it back, or run scripts/abi.sh --update and say so in CHANGELOG.md" >&2
exit 1
