"""`cmake --install`: the package that CMake and pkg-config find, used from projects of their own in C and C++."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import pytest

import sdk

ELF = pytest.mark.skipif(platform.system() != "Linux", reason="looks into an ELF library")

VERSION_PROGRAM = """
#include <rtvoice/rtvoice.h>
int main() {{
  rtv_config config;
  rtv_stats stats;
  rtv_config_init(&config);
  rtv_stats_init(&stats);
  return rtv_version() == {number}u && config.struct_size == sizeof config && stats.struct_size == sizeof stats
             && rtv_isa()[0] != 0 ? 0 : 1;
}}
"""


def version() -> tuple[int, int, int]:
    """Return the version that project() names."""
    text = (sdk.ROOT / "CMakeLists.txt").read_text()
    major, minor, patch = text.split("project(rtvoice VERSION ")[1].split()[0].split(".")
    return int(major), int(minor), int(patch)


def version_program(path: Path) -> Path:
    major, minor, patch = version()
    path.write_text(VERSION_PROGRAM.format(number=major * 10000 + minor * 100 + patch))
    return path


def test_installs_header_libraries_and_packages() -> None:
    prefix, libraries = sdk.installed(), sdk.library_folder()
    assert (prefix / "include/rtvoice/rtvoice.h").exists()
    for name in ("librtvoice.so", "librtvoice.a", "cmake/rtvoice/rtvoiceConfig.cmake", "pkgconfig/rtvoice.pc"):
        assert (libraries / name).exists(), name
    packages = [path for path in libraries.rglob("*") if path.suffix in {".cmake", ".pc"}]
    for path in packages:
        assert str(sdk.ROOT) not in path.read_text(), f"{path.name} names the source tree"


@ELF
def test_exports_only_the_c_interface() -> None:
    library = sdk.library_folder() / "librtvoice.so"
    exported = {line.split()[-1] for line in sdk.run("nm", "-D", "--defined-only", library).stdout.splitlines()}
    header = (sdk.ROOT / "cpp/include/rtvoice/rtvoice.h").read_text()
    declared = {
        line.split("(")[0].split()[-1].lstrip("*") for line in header.splitlines() if line.startswith("RTV_API ")
    }
    assert exported == declared


@ELF
def test_binds_symbols_at_load_and_finds_neighbours() -> None:
    dynamic = sdk.run("readelf", "-d", sdk.library_folder() / "librtvoice.so").stdout
    assert "NOW" in dynamic
    assert "[$ORIGIN]" in dynamic


@ELF
def test_library_is_small(tmp_path: Path) -> None:
    stripped = tmp_path / "stripped.so"
    sdk.run("strip", "-o", stripped, sdk.library_folder() / "librtvoice.so")
    assert stripped.stat().st_size <= 1_000_000


@pytest.mark.parametrize("target", ["rtvoice::rtvoice", "rtvoice::static"])
@pytest.mark.parametrize(
    ("language", "suffix", "standard"), [("C", "c", "C_STANDARD 99"), ("CXX", "cc", "CXX_STANDARD 11")]
)
def test_cmake_project(tmp_path: Path, target: str, language: str, suffix: str, standard: str) -> None:
    major, minor, _ = version()
    version_program(tmp_path / f"main.{suffix}")
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.16)\nproject(host LANGUAGES {language})\n"
        f"find_package(rtvoice {major}.{minor} REQUIRED)\nadd_executable(host main.{suffix})\n"
        f"set_target_properties(host PROPERTIES {standard})\ntarget_link_libraries(host PRIVATE {target})\n"
    )
    folder = sdk.build_project(tmp_path, tmp_path / "build")
    sdk.run(folder / "host")


def test_cmake_refuses_another_version(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(host LANGUAGES C)\nfind_package(rtvoice 99.0 REQUIRED)\n"
    )
    done = sdk.run(
        "cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={sdk.installed()}", check=False
    )
    assert done.returncode != 0
    assert "rtvoice" in done.stderr


@pytest.mark.parametrize(("compiler", "suffix", "standard"), [("cc", "c", "-std=c99"), ("c++", "cc", "-std=c++11")])
def test_pkg_config(tmp_path: Path, compiler: str, suffix: str, standard: str) -> None:
    assert ".".join(map(str, version())) in sdk.pkg_config("--modversion")
    source = version_program(tmp_path / f"main.{suffix}")
    host = tmp_path / "host"
    sdk.run(compiler, standard, *sdk.STRICT.split(), source, "-o", host, *sdk.pkg_config("--cflags", "--libs"))
    sdk.run(host, env={"LD_LIBRARY_PATH": str(sdk.library_folder())})


@ELF
def test_libsamplerate_beside_the_library_is_found(tmp_path: Path) -> None:
    """A game ships both in one folder, on machines that have neither."""
    folder = tmp_path / "game"
    folder.mkdir()
    shutil.copy(sdk.library_folder() / "librtvoice.so", folder / "librtvoice.so.0")
    linked = sdk.run("ldd", folder / "librtvoice.so.0").stdout
    if "libsamplerate" not in linked:
        pytest.skip("libsamplerate is inside this build's library")
    system = next(line.split("=>")[1].split()[0] for line in linked.splitlines() if "libsamplerate" in line)
    shutil.copy(system, folder / "libsamplerate.so.0")
    found = next(
        line for line in sdk.run("ldd", folder / "librtvoice.so.0").stdout.splitlines() if "libsamplerate" in line
    )
    assert str(folder) in found
