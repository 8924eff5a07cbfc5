"""The source as the tests of its shape read it."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "src" / "mscprotocol").rglob("*.py"))
ADAPTERS = sorted((ROOT / "fhir_adapters").rglob("*.py"))
# What stands around the pure core: doors, what is printed there, and the tools of whoever owns the rules.
OUTER = {
    "__main__", "authoring", "case_records", "case_tables", "checklist", "cli", "clients", "course_actions",
    "course_amendments", "course_calendar", "course_checks", "course_deviations", "course_forms", "demo", "dose_checks",
    "gate_reasons", "listening", "logs", "migrations", "plots", "records", "rendering", "retention", "rules",
    "sample_cases", "screen", "screening", "service", "serving", "settings", "store", "subject", "subjects", "summary",
    "terminal", "users", "verification", "web",
}  # fmt: skip


def is_core(path):
    name = path.relative_to(ROOT / "src" / "mscprotocol").parts[0].removesuffix(".py")
    return name not in OUTER and name.partition("_")[0] not in OUTER


CORE = [path for path in MODULES if is_core(path)]


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"), path.name)


def imports(path):
    """Every name that a module imports, at whatever depth."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def docstrings(module):
    """The nodes of a tree that are docstrings."""
    for node in ast.walk(module):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            yield body[0].value


def strings(path):
    """Every string of a module that is not a docstring, f-strings in their parts."""
    module = tree(path)
    documented = {id(node) for node in docstrings(module)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node.value


def calls(path):
    """Every function that a module calls, as it is written: `datetime.now`, `print`."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
