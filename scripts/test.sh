#!/usr/bin/env bash
# The whole test suite: C++ (ctest), the short sanitizer runs, the kernels and the engine on emulated 64-bit Arm, then Python (pytest) on the
# installed package. Ends with each runner's own closing line.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
jobs=${JOBS:-2}
mkdir -p build
rm -f build/pytest.xml
failed=0

native() {
  cmake -S . -B build/test -G Ninja -DRTVOICE_BUILD_TESTS=ON -DRTVOICE_BUILD_BENCH=ON -DRTVOICE_BUILD_PEERS=ON >build/test-configure.log 2>&1 ||
    { tail -20 build/test-configure.log; echo "configuring failed; the whole output is in build/test-configure.log"; return 1; }
  cmake --build build/test -j "$jobs" >build/test-build.log 2>&1 ||
    { grep -E 'error|Error|FAILED' build/test-build.log | head -20; echo "building failed; the whole output is in build/test-build.log"; return 1; }
  ctest --test-dir build/test --output-on-failure -j "$jobs" --timeout 600
}

native | tee build/ctest.log | grep -vE '^ *Start |^ *[0-9]+/[0-9]+ Test .* Passed '
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
scripts/sanitize.sh | tee build/sanitize.log
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
scripts/neon.sh | tee build/neon-short.log
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
.venv/bin/python -m pytest --junitxml=build/pytest.xml | tee build/pytest.log
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1

echo
grep -E 'tests passed, .* tests failed' build/ctest.log || echo "C++: no test ran"
echo "sanitizers:"
grep -E 'tests passed, .* tests failed|[0-9]+ files, |PASSED|FAILED' build/sanitize.log || echo "sanitizers: nothing ran"
grep '^neon: ' build/neon-short.log || echo "neon: nothing ran"
.venv/bin/python scripts/hosts.py --of build/pytest.xml || echo "hosts: nothing ran"
tail -1 build/pytest.log
exit $failed
