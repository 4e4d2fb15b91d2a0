#!/usr/bin/env bash
# Builds dist/*.whl, which carries libsamplerate, so that it runs on machines without development packages.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
rm -rf build/wheel dist/rtvoice-*.whl
CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-2} pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps -w build/wheel .
if [ "$(uname -s)" = Linux ]; then
  auditwheel repair -w dist build/wheel/rtvoice-*.whl >build/wheel/repair.log 2>&1 || { cat build/wheel/repair.log >&2; exit 1; }
else
  mkdir -p dist
  cp build/wheel/rtvoice-*.whl dist/
fi
ls -l dist/rtvoice-*.whl
