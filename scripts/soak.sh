#!/usr/bin/env bash
# Hours of audio through every stream: scripts/soak.sh [HOURS] [LOGGED_HOURS] writes benchmarks/proof/soak.md: an hour each, and a day through whisper and
# the vocoder with a real-time log. An hour of one stream takes half a minute to four, all of it three hours; Ctrl-C ends with what there is.
set -euo pipefail
cd "$(dirname "$0")/.."
hours=${1:-1}
logged=${2:-24}
mkdir -p build benchmarks/proof
cmake -S . -B build/test -G Ninja -DRTVOICE_BUILD_TESTS=ON >build/soak.log 2>&1 && cmake --build build/test -j "${JOBS:-2}" --target soak >>build/soak.log 2>&1 ||
  { tail -20 build/soak.log; echo "building failed; the whole output is in build/soak.log"; exit 1; }
status=0
trap : INT
build/test/cpp/tests/soak/soak --seconds "$((hours * 3600))" --logged-seconds "$((logged * 3600))" | tee -i build/soak-table.md || status=1
{
  echo "# What a soak showed"
  echo
  echo "Hours of audio through one engine each: $hours, and $logged of whisper and vocoder with a log, as fast as the machine goes, in frames of 0 to 1024 samples at random; parameters, bypass, tiers and"
  echo "swaps at random times. \`make soak\` (\`scripts/soak.sh $hours $logged\`), $(date +%F); the columns' meaning stands in [docs/proof.md](../../docs/proof.md)."
  echo
  cat build/soak-table.md
} >benchmarks/proof/soak.md
exit $status
