"""The wheel, built and installed elsewhere, is the same program: rules, templates and samples came along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from mscprotocol.answer import Assessment
from mscprotocol.cli import DATA, OK
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.sample_cases import SampleCase, assess_sample, find_samples

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {"rules": "mscprotocol/rules", "templates": "mscprotocol/templates", "samples": "mscprotocol/samples"}
SAMPLES = list(find_samples())


def run(*command: str | Path, cwd: Path, expected: int = OK) -> str:
    """What a command prints, run without anything that could lead back to the checkout."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "PIP_"))}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", out, ROOT, cwd=out)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def home(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, which borrows its dependencies from this one but not its checkout."""
    home = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    library = site_packages(home)
    for one in Path(sysconfig.get_path("purelib")).iterdir():
        if not one.name.startswith(("mscprotocol", "_mscprotocol", "__editable__")) and one.suffix != ".pth":
            (library / one.name).symlink_to(one)
    target = ("--python", home / "bin" / "python", "install", "--no-deps", "--no-index", "--quiet", wheel)
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *target, cwd=home)
    return home


def site_packages(home: Path) -> Path:
    return home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """A folder with nothing in it."""
    assert not tmp_path.is_relative_to(ROOT)
    return tmp_path


def test_the_installed_package_is_not_the_checkout(home: Path, away: Path) -> None:
    code = "import mscprotocol, fhir_adapters; print(mscprotocol.__file__); print(fhir_adapters.__file__)"
    for place in run(home / "bin" / "python", "-c", code, cwd=away).split():
        assert Path(place).is_relative_to(home)
        assert not Path(place).resolve().is_relative_to(ROOT / "src")
        assert not Path(place).resolve().is_relative_to(ROOT / "fhir_adapters")


def test_everything_ships_and_nothing_else(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {str(path.relative_to(ROOT / "src")) for path in files_below(ROOT / "src" / "mscprotocol")}
    expected |= {str(path.relative_to(ROOT)) for path in files_below(ROOT / "fhir_adapters")}
    for folder, place in SHIPPED.items():
        expected |= {f"{place}/{path.relative_to(ROOT / folder)}" for path in files_below(ROOT / folder)}
    assert packed == expected


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_licence_and_notice_ship(wheel: Path) -> None:
    names = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/licenses/" in name}
    assert names == {"LICENSE", "NOTICE"}


def test_installed_rules_are_the_rules_of_the_checkout(home: Path, away: Path, knowledge: KnowledgeBase) -> None:
    printed = run(home / "bin" / "mscprotocol", "rules", "check", cwd=away)
    assert f"sha256 {knowledge.sha256}" in printed


def test_demo_gives_the_table_of_the_checkout_and_writes_each_checklist(
    home: Path, away: Path, knowledge: KnowledgeBase
) -> None:
    printed = run(home / "bin" / "mscprotocol", "demo", "--out", away / "sheets", cwd=away)
    rows = {words[0]: words[1] for line in printed.splitlines() if len(words := line.split()) > 1}
    for sample in SAMPLES:
        assert rows[sample.name] == assess_sample(sample, knowledge).verdict
    sheets = sorted((away / "sheets").glob("*.html"))
    assert [sheet.stem for sheet in sheets] == sorted(sample.name for sample in SAMPLES)
    for sheet in sheets:
        page = sheet.read_text(encoding="utf-8")
        assert page.lstrip().lower().startswith("<!doctype html>")
        assert page.rstrip().endswith("</html>")


@pytest.mark.parametrize("sample", [SAMPLES[0], SAMPLES[-1]], ids=lambda sample: sample.name)
def test_assess_gives_the_answer_of_the_checkout(
    sample: SampleCase, home: Path, away: Path, knowledge: KnowledgeBase
) -> None:
    installed = site_packages(home) / SHIPPED["samples"] / sample.name / "input.json"
    request = sample.request
    options = ("--at", request.at.isoformat(), "--stage", request.stage, "--zone", request.zone, "--format", "json")
    answer = json.loads(run(home / "bin" / "mscprotocol", "assess", installed, *options, cwd=away))
    expected: Assessment = assess_sample(sample, knowledge)
    assert answer["verdict"] == expected.verdict
    assert answer["trace_sha256"] == expected.trace_sha256
    assert answer["rulebase"]["sha256"] == expected.rulebase.sha256


def test_a_file_that_is_no_bundle_ends_with_its_documented_code(home: Path, away: Path) -> None:
    (away / "bad.json").write_text("{", encoding="utf-8")
    printed = run(home / "bin" / "mscprotocol", "assess", "bad.json", cwd=away, expected=DATA)
    assert json.loads(printed)["error"]["code"] == "unreadable"
