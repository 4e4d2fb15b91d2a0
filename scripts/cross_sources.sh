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
have_all() { [ -f "$cross/libsamplerate/CMakeLists.txt" ] && [ -f "$cross/godot3/gdnative_api_struct.gen.h" ] && [ -f "$cross/clap/clap/entry.h" ]; }
have_all && exit 0
command -v apt-get >/dev/null || { echo "no apt-get: unpack libsamplerate's source into $cross/libsamplerate" >&2; exit 1; }
# Source archives, by the machine's own list of archives, in lists of our own: the machine's stay as they are.
lists=$cross/apt
mkdir -p "$lists/parts" "$lists/lists/partial"
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
  [ -f "$file" ] && sed -E 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' "$file" >"$lists/parts/$(basename "$file" | sed 's/^sources.list$/main.list/')"
done
options=(-qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$lists/parts" -o "Dir::State::lists=$lists/lists" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update 2>/dev/null || true
source_of() { (cd "$lists" && apt-get "${options[@]}" source --download-only --tar-only "$1" >/dev/null 2>&1) || { echo "the source of $1 cannot be had; $2" >&2; return 1; }; }

if [ ! -f "$cross/libsamplerate/CMakeLists.txt" ]; then
  source_of libsamplerate "unpack it into $cross/libsamplerate" || exit 1
  mkdir -p "$cross/libsamplerate"
  tar -xf "$lists"/libsamplerate_*.orig.tar.* -C "$cross/libsamplerate" --strip-components=1
fi
# CLAP's headers, 1.1.1, which the DISTRHO plugins carry in one folder; the interface has not changed since for what is used here.
if [ ! -f "$cross/clap/clap/entry.h" ]; then
  if source_of dpf-plugins "name the folder of CLAP's headers: RTVOICE_CLAP_HEADERS"; then
    mkdir -p "$lists/dpf" "$cross/clap/clap/factory"
    tar -xf "$lists"/dpf-plugins_*.orig.tar.* -C "$lists/dpf" --strip-components=1 --wildcards '*/distrho/src/clap/*'
    cp -r "$lists"/dpf/dpf/distrho/src/clap/. "$cross/clap/clap/"
    echo '#include "../plugin-factory.h"' >"$cross/clap/clap/factory/plugin-factory.h"
    rm -rf "$lists"/dpf "$lists"/dpf-plugins_*
  fi
fi
# GDNative's headers, one of which Godot's own build script makes.
if [ ! -f "$cross/godot3/gdnative_api_struct.gen.h" ]; then
  source_of godot "name the folder of its headers: RTVOICE_GODOT3_HEADERS" || exit 0
  mkdir -p "$lists/godot" "$cross/godot3"
  tar -xf "$lists"/godot_*.orig.tar.* -C "$lists/godot" --strip-components=1 --wildcards '*/modules/gdnative/include' '*/modules/gdnative/gdnative_api.json' \
    '*/modules/gdnative/gdnative_builders.py' '*/platform_methods.py'
  cp -r "$lists"/godot/modules/gdnative/include/. "$cross/godot3/"
  (cd "$lists/godot" && PYTHONPATH=.:modules/gdnative python3 -c 'import gdnative_builders as b
b.build_gdnative_api_struct(["api.h", "api.cpp"], ["modules/gdnative/gdnative_api.json"], None)') && mv "$lists/godot/api.h" "$cross/godot3/gdnative_api_struct.gen.h"
  rm -rf "$lists"/godot "$lists"/godot_*
fi
