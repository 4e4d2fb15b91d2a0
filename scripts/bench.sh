#!/usr/bin/env bash
# Benchmarks that anyone can rerun: networks and kernels against this core's own multiply-add peak, then the shipped models frame by frame.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
mkdir -p build
cmake -S . -B build/bench -G Ninja -DRTVOICE_BUILD_BENCH=ON >build/bench.log 2>&1 &&
  cmake --build build/bench -j "${JOBS:-2}" --target network_bench kernel_bench >>build/bench.log 2>&1 ||
  { tail -20 build/bench.log; echo "building the benchmarks failed; the whole output is in build/bench.log"; exit 1; }
echo "== networks"
build/bench/cpp/bench/network_bench
echo "== kernels"
build/bench/cpp/bench/kernel_bench
echo "== shipped models"
rtvoice-bench --cold --tiers
