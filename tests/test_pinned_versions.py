"""What `make` installs is pinned, for every Python and platform, within what pyproject.toml declares."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
PINS = [Requirement(line) for line in LINES]
INSTALLED = ("reproduce", "test", "docs", "peers")  # by one target or another of the Makefile
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [*PROJECT["dependencies"], *(line for extra in INSTALLED for line in EXTRAS[extra])]
ENVIRONMENTS = [
    {"python_version": v, "python_full_version": f"{v}.9", "platform_machine": machine, "sys_platform": "linux"}
    for v in ("3.11", "3.12", "3.13", "3.14")
    for machine in ("x86_64", "aarch64")
]


@pytest.mark.parametrize("line", sorted(set(DECLARED)))
def test_every_requirement_has_one_pin_within_its_range(line):
    wanted = Requirement(line)
    pins = [pin for pin in PINS if canonicalize_name(pin.name) == canonicalize_name(wanted.name)]
    for environment in ENVIRONMENTS:
        versions = [
            version.version
            for pin in pins
            if pin.marker is None or pin.marker.evaluate(environment)
            for version in pin.specifier
        ]
        assert len(versions) == 1, (environment, versions)
        assert wanted.specifier.contains(versions[0], prereleases=True), (line, versions)


def test_pins_are_exact():
    assert all(re.fullmatch(r"==[^*]+", str(pin.specifier)) for pin in PINS)


def test_every_target_installs_under_the_constraints():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = re.findall(r"^\t\$\(INSTALL\) (.*)$", makefile, re.MULTILINE)
    assert makefile.count("--editable") == 1  # in INSTALL
    assert len(installs) == 4
    assert all("reproduce" in install for install in installs)  # what any figure needs is there whichever comes first
    assert "--constraint $(CONSTRAINTS)" in makefile


def test_no_address_is_made_up():
    assert "urls" not in PROJECT or all("example" not in url for url in PROJECT["urls"].values())


def test_delicate_tests_are_marked_and_kernels_that_are_missing_are_named():
    script = [sys.executable, str(ROOT / "tests" / "delicate.py"), "NoSuchKernel"]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert "BLAS kernel of this processor: " in done.stdout
    assert "NoSuchKernel: left out, not available here" in done.stdout
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if "pytest.mark.delicate" in path.read_text("utf-8")]
    assert len(marked) >= 10
