#!/bin/sh
# run.sh PROCESSOR PROGRAM ARGUMENTS...: under an emulator of that processor; 77 where there is none.
if ! command -v qemu-x86_64 >/dev/null 2>&1; then
  echo "SKIPPED: qemu-x86_64 is not installed (Debian: apt-get install qemu-user): that no AVX leaked into the baseline is NOT shown"
  exit 77
fi
processor=$1
shift
exec qemu-x86_64 -cpu "$processor" "$@"
