"""CI runs every host: it installs their tools, and says which hosts ran and which did not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import sdk

SCRIPT = sdk.ROOT / "scripts" / "hosts.py"
REPORT = """<testsuites><testsuite>
<testcase classname="tests.hosts.test_clap" name="a" time="1"/>
<testcase classname="tests.hosts.test_clap" name="b" time="1"><skipped message="no events"/></testcase>
<testcase classname="tests.hosts.test_sdl" name="a" time="1"><failure message="other bits"/></testcase>
<testcase classname="tests.hosts.test_windows" name="a" time="1"><skipped message="wine is missing"/></testcase>
<testcase classname="tests.test_engine" name="a" time="1"/>
</testsuite></testsuites>"""


@pytest.fixture(scope="module")
def hosts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hosts_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hosts_script"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_ci_installs_the_tools_of_every_host_before_the_tests() -> None:
    steps = [line for line in (sdk.ROOT / ".ci" / "run").read_text().splitlines() if not line.startswith("#")]
    installs = next(i for i, line in enumerate(steps) if line.startswith("scripts/setup.sh hosts"))
    assert installs < steps.index("exec make test")
    assert "scripts/hosts.py --of build/pytest.xml" in (sdk.ROOT / "scripts" / "test.sh").read_text()


def test_every_test_of_a_host_has_a_row(hosts: ModuleType) -> None:
    here = {path.stem for path in Path(__file__).parent.glob("test_*.py")} - {"test_ci"}
    assert here <= set(hosts.HOSTS)


def test_the_closing_line_says_which_hosts_ran_and_why_the_others_did_not(tmp_path: Path, hosts: ModuleType) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    done = subprocess.run(
        [sys.executable, SCRIPT, "--of", tmp_path / "report.xml"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"hosts: 2 of {len(hosts.HOSTS)} run; FAILED: SDL2; not run: ")
    assert "Windows x64, C program (wine is missing)" in done.stdout
    assert "CLAP" not in done.stdout and "C#, Unity's filter (no test of it ran)" in done.stdout
    assert done.stdout.count("\n") == 1
