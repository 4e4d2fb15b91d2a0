#!/usr/bin/env bash
# Layout, types and import rules: scripts/lint.sh [--fix | --tidy]. --tidy adds clang-tidy, which takes minutes.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
failed=0
check() { printf '%s\n' "== $1"; "$@" || failed=1; }

mapfile -t sources < <(find cpp examples plugins benchmarks -name '*.cc' -o -name '*.h' -o -name '*.c' | sort)
if [ "${1:-}" = --fix ]; then
  ruff check --fix -q python studio tests scripts examples benchmarks
  ruff format -q python studio tests scripts examples benchmarks
  [ ${#sources[@]} -eq 0 ] || clang-format -i "${sources[@]}"
  exit 0
fi
check ruff check python studio tests scripts examples benchmarks
check ruff format --check -q python studio tests scripts examples benchmarks
# Without torch its modules are unknown: what derives from them, or is made by them, cannot be checked.
types=()
python -c 'import torch' 2>/dev/null ||
  types=(--allow-subclassing-any --allow-untyped-decorators --no-warn-return-any --no-warn-unused-ignores)
check mypy ${types[@]+"${types[@]}"}
if python -c 'import rtvoice_studio' 2>/dev/null; then
  check mypy -p rtvoice_studio
else
  echo "rtvoice-studio is not installed; its types are not checked (pip install ./studio)"
fi
check lint-imports
[ ${#sources[@]} -eq 0 ] || check clang-format --dry-run -Werror "${sources[@]}"
if [ "${1:-}" = --tidy ]; then
  command -v clang-tidy >/dev/null || { echo "clang-tidy is missing; install it (Debian/Ubuntu: apt-get install clang-tidy)"; exit 1; }
  cmake -S . -B build/tidy -G Ninja -DRTVOICE_BUILD_TESTS=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
  check clang-tidy -p build/tidy --quiet $(find cpp/src -name '*.cc' ! -path '*/bindings/*')
fi
exit $failed
