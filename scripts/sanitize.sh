#!/usr/bin/env bash
# The short form of the sanitizer runs: scripts/sanitize.sh. Address and undefined behaviour over the native tests, 5,000 damaged model files and 270
# streamed networks; threads over the engine's shared state.
set -uo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-2}
python=.venv/bin/python
failed=0

# build FOLDER SANITIZERS INSTRUCTION_SETS [TARGET...]
build() {
  local folder=$1 sanitizers=$2 isas=$3
  shift 3
  cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRTVOICE_BUILD_TESTS=ON "-DRTVOICE_SANITIZE=$sanitizers" "-DRTVOICE_ISAS=$isas" \
    >"$folder.log" 2>&1 && cmake --build "$folder" -j "$jobs" ${1:+--target "$@"} >>"$folder.log" 2>&1 && return 0
  grep -E 'error|Error|FAILED' "$folder.log" | head -20
  echo "building with -fsanitize=$sanitizers failed; the whole output is in $folder.log"
  return 1
}

mkdir -p build/graphs
if build build/asan address,undefined AVX2; then
  ctest --test-dir build/asan --output-on-failure -j "$jobs" --timeout 1200 | grep -vE '^ *Start |^ *[0-9]+/[0-9]+ Test .* Passed '
  [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
  PYTHONPATH=tests "$python" -m engine.write_graphs build/graphs && build/asan/cpp/tests/engine/stream_files build/graphs/*.rtv models/*/*.rtv || failed=1
else
  failed=1
fi
if build build/tsan thread SCALAR c_api_test live_test sanitizer_planted_test; then
  build/tsan/cpp/tests/sanitize/sanitizer_planted_test || failed=1
  build/tsan/cpp/tests/c_api/c_api_test --gtest_filter='*Thread*:*Swap*:*Control*' || failed=1
  build/tsan/cpp/tests/live/live_test --gtest_filter='*Thread*' || failed=1
else
  failed=1
fi
exit $failed
