#!/usr/bin/env bash
# The long forms of the tests of live sound: scripts/soak_live.sh [SIMULATED_HOURS] [SECONDS] writes benchmarks/proof/live.md. Ten hours between two clocks on a
# simulated time line (minutes), and ten minutes of `rtvoice live` on a virtual sound card with every core busy.
set -uo pipefail
cd "$(dirname "$0")/.."
hours=${1:-10}
seconds=${2:-600}
mkdir -p build benchmarks/proof
cmake -S . -B build/test -G Ninja -DRTVOICE_BUILD_TESTS=ON >build/soak.log 2>&1 && cmake --build build/test -j "${JOBS:-2}" --target live_test >>build/soak.log 2>&1 ||
  { tail -20 build/soak.log; echo "building failed; the whole output is in build/soak.log"; exit 1; }
status=0
RTVOICE_LIVE_HOURS=$hours build/test/cpp/tests/live/live_test --gtest_filter='Bridge.KeepsItsLatencyForHours*' >build/soak-clocks.log || status=1
clocks=$(grep -E '^300 ppm' build/soak-clocks.log || tail -5 build/soak-clocks.log)
echo "$clocks"
xruns=$(.venv/bin/python tests/live/xruns.py "$seconds") || { [ $? -eq 77 ] || status=1; }
echo "$xruns"
{
  echo "# What hours of live sound showed"
  echo
  echo "\`make soak\` (\`scripts/soak_live.sh $hours $seconds\`), $(date +%F). What is measured, and how, stands in [docs/live.md](../../docs/live.md)."
  echo
  echo "| run | result |"
  echo "|---|---|"
  echo "| two clocks, simulated | $clocks |"
  echo "| xruns with every core busy | $xruns |"
} >benchmarks/proof/live.md
exit $status
