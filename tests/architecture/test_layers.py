"""The layers of the import-linter contracts in pyproject.toml, and the wall around durable-rules."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import MODULES, ROOT, imports

LINT = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"


def lint(folder):
    return subprocess.run([sys.executable, "-c", LINT], capture_output=True, text=True, cwd=folder, check=False)


def test_the_contracts_are_kept():
    run = lint(ROOT)
    assert run.returncode == 0, run.stdout


def test_a_broken_contract_is_noticed(tmp_path):
    config = (
        (ROOT / "pyproject.toml").read_text().replace('forbidden_modules = ["durable", ', 'forbidden_modules = ["re", ')
    )
    assert '"re", ' in config
    (tmp_path / "pyproject.toml").write_text(config)
    run = lint(tmp_path)
    assert run.returncode == 1
    assert "Only mscprotocol.engine imports durable BROKEN" in run.stdout


def test_only_the_engine_imports_durable():
    importers = {
        path.name
        for path in (*MODULES, *(ROOT / "fhir_adapters").rglob("*.py"))
        if any(name.partition(".")[0] in ("durable", "durable_rules_engine") for name in imports(path))
    }
    assert importers == {"engine.py"}


@pytest.mark.parametrize("text", ["import durable", "from durable import engine", "def f():\n    import durable.lang"])
def test_imports_are_found_wherever_they_stand(tmp_path, text):
    module = Path(tmp_path / "module.py")
    module.write_text(text)
    assert [name.partition(".")[0] for name in imports(module)] == ["durable"]
    assert ast.parse(text)
