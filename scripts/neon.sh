#!/usr/bin/env bash
# The tests on 64-bit Arm, cross-built, under qemu: scripts/neon.sh [--full]. Without --full: kernels and C interface, as a Cortex-A53. With it: all
# programs, as a Cortex-A53, a Cortex-A76 and the newest that qemu knows. The tolerances are those of every other instruction set.
set -uo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-2}
for tool in aarch64-linux-gnu-g++ qemu-aarch64; do
  command -v "$tool" >/dev/null || { echo "neon: SKIPPED: $tool is not installed (Debian: apt-get install g++-aarch64-linux-gnu qemu-user): the NEON kernels are NOT run"; exit 0; }
done
for file in libgtest.a libsamplerate.so; do
  [ -e "/usr/lib/aarch64-linux-gnu/$file" ] || { echo "neon: SKIPPED: no $file for arm64 (Debian: dpkg --add-architecture arm64, then apt-get install libgtest-dev:arm64 libsamplerate0-dev:arm64): the NEON kernels are NOT run"; exit 0; }
done

targets=(simd_test c_api_state_test plan_test)
[ "${1:-}" = --full ] && targets=(all)
cmake -S . -B build/neon -G Ninja -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64-linux-gnu.cmake -DRTVOICE_BUILD_TESTS=ON -DRTVOICE_FUZZ_CASES=300 >build/neon.log 2>&1 &&
  cmake --build build/neon -j "$jobs" --target "${targets[@]}" >>build/neon.log 2>&1 ||
  { grep -E 'error|Error|FAILED' build/neon.log | head; echo "neon: building failed; the whole output is in build/neon.log"; exit 1; }

# Emulated, one is 20 to 60 times slower: tests take their short form.
export RTVOICE_TEST_SHORT=1
if [ "${1:-}" = --full ]; then
  failed=0
  for processor in cortex-a53 cortex-a76 max; do
    echo "neon: $processor"
    QEMU_CPU=$processor ctest --test-dir build/neon -L neon -j "$jobs" --timeout 1800 --output-on-failure --output-junit "$PWD/build/neon-$processor.xml" |
      grep -vE '^ *Start |^ *[0-9]+/[0-9]+ Test .* Passed '
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
  done
  exit $failed
fi
export QEMU_CPU=cortex-a53
run=(qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=/usr/aarch64-linux-gnu/lib:/usr/lib/aarch64-linux-gnu)
failed=0
shards=()
for shard in 0 1; do
  GTEST_TOTAL_SHARDS=2 GTEST_SHARD_INDEX=$shard "${run[@]}" build/neon/cpp/tests/simd/simd_test --gtest_brief=1 >build/neon-simd-$shard.log 2>&1 &
  shards+=($!)
done
for shard in 0 1; do
  wait "${shards[$shard]}" || failed=1
  grep -E '^\[  (PASSED|FAILED)' build/neon-simd-$shard.log | sed 's/^/neon: kernels /' || { echo "neon: kernels FAILED: no test ran"; failed=1; }
done
"${run[@]}" build/neon/cpp/tests/c_api/c_api_state_test --gtest_brief=1 --gtest_filter='*/gru:*/control:*/synthesis:*/default' >build/neon-engine.log 2>&1 || failed=1
"${run[@]}" build/neon/cpp/tests/plan/plan_test --gtest_brief=1 --gtest_filter='LoopTest.*' >>build/neon-engine.log 2>&1 || failed=1
grep -E '^\[  (PASSED|FAILED)' build/neon-engine.log | sed 's/^/neon: engine /' || { echo "neon: engine FAILED: no test ran"; failed=1; }
[ $failed -eq 0 ] || grep -hE 'Failure|error' build/neon-simd-?.log build/neon-engine.log | head
exit $failed
