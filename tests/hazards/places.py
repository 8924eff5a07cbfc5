"""The places that name tests: rows of a table as table::section, tests as file::name."""

from __future__ import annotations

import ast
from pathlib import Path

from mscprotocol.case_tables import read_rows
from tests.criteria.leaves import CASES

TESTS = Path(__file__).parent.parent


def rows_marked(kind: str, mark: str) -> set[str]:
    """The sections whose rows carry a hazard or trap."""
    return {row.place for row in read_rows(CASES) if mark in getattr(row, kind)}


def find_functions(path: Path) -> dict[str, str]:
    """The functions of a test module, each with its name and docstring as one text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {node.name: f"{node.name} {ast.get_docstring(node) or ''}" for node in found}
