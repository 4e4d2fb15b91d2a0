#!/usr/bin/env bash
# Benchmarks that anyone can rerun: networks and kernels against this core's own multiply-add peak, the shipped models frame by frame,
# then side by side with other engines, which rewrites benchmarks/RESULTS.md. BENCH_ROUNDS sets that part's rounds.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
mkdir -p build
cmake -S . -B build/bench -G Ninja -DRTVOICE_BUILD_BENCH=ON -DRTVOICE_BUILD_PEERS=ON >build/bench.log 2>&1 &&
  cmake --build build/bench -j "${JOBS:-2}" --target network_bench kernel_bench rtvoice rtvoice_peers >>build/bench.log 2>&1 ||
  { tail -20 build/bench.log; echo "building the benchmarks failed; the whole output is in build/bench.log"; exit 1; }
echo "== networks"
build/bench/cpp/bench/network_bench
echo "== kernels"
build/bench/cpp/bench/kernel_bench
echo "== shipped models"
rtvoice-bench --cold --tiers
echo "== side by side"
failed=0
python benchmarks/compare measure --rounds "${BENCH_ROUNDS:-40}" || failed=1
python benchmarks/compare report
exit $failed
