#!/usr/bin/env bash
# Lays out in build/cross what a cross build needs from this Debian: scripts/cross_sources.sh. Headers that are the same on every system, as links, and
# libsamplerate's source, from the distribution's own archive. Finished work costs nothing the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
cross=$PWD/build/cross
mkdir -p "$cross/include"
for name in hwy nlohmann; do
  [ -d /usr/include/$name ] || { echo "/usr/include/$name is missing: apt-get install libhwy-dev nlohmann-json3-dev" >&2; exit 1; }
  ln -sfn /usr/include/$name "$cross/include/$name"
done
[ -f "$cross/libsamplerate/CMakeLists.txt" ] && exit 0
command -v apt-get >/dev/null || { echo "no apt-get: unpack libsamplerate's source into $cross/libsamplerate" >&2; exit 1; }
# Source archives, by the machine's own list of archives, in lists of our own: the machine's stay as they are.
lists=$cross/apt
mkdir -p "$lists/parts" "$lists/lists/partial"
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
  [ -f "$file" ] && sed -E 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' "$file" >"$lists/parts/$(basename "$file" | sed 's/^sources.list$/main.list/')"
done
options=(-qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$lists/parts" -o "Dir::State::lists=$lists/lists" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update 2>/dev/null || true
(cd "$lists" && apt-get "${options[@]}" source --download-only libsamplerate >/dev/null) || { echo "libsamplerate's source cannot be had; unpack it into $cross/libsamplerate" >&2; exit 1; }
mkdir -p "$cross/libsamplerate"
tar -xf "$lists"/libsamplerate_*.orig.tar.* -C "$cross/libsamplerate" --strip-components=1
