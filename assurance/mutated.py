"""Rule bases with one wrong edit: the loader reads files that are kept in memory, one of them with a mutant's edit."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from mutants import Mutant, Tree

from mscprotocol import knowledge_loader
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.places import find_folder

_Original = knowledge_loader.RuleReader


@cache
def read_trees() -> dict[Path, Tree]:
    """Every file of the rules as it is."""
    home = find_folder("rules")
    reader = _Original(home)
    return {path: reader._read_file(path) for path in sorted(home.rglob("*.yaml"))}


class _Reader(_Original):
    """Reads the files that are kept in memory, one of them with a mutant's edit; what is not edited is built once."""

    changed: Mapping[Path, Tree] = {}
    owns_files = False
    built: dict[tuple[int, Any], Any] = {}

    def _read_file(self, path: Path) -> Tree:
        if path not in read_trees():  # a site's own file
            return super()._read_file(path)
        tree = self.changed.get(path) or read_trees()[path]
        return deepcopy(tree) if self.owns_files else tree

    def _validated(self, path: Path, tree: Tree, place: tuple[str, ...], model: Any) -> Any:
        node: Any = tree
        for step in place:
            node = node[step]
        original: Any = read_trees().get(path)
        for step in place:
            original = original and original.get(step)
        if node is not original or self.owns_files:
            return super()._validated(path, tree, place, model)
        key = (id(node), model)
        if key not in self.built:
            self.built[key] = super()._validated(path, tree, place, model)
        return self.built[key]


def install(mutant: Mutant | None, *, owns_files: bool = False) -> None:
    """Let every rule base that is loaded from now on be the mutant's."""
    knowledge_loader.RuleReader = _Reader
    knowledge_loader._load.cache_clear()
    home = find_folder("rules")
    _Reader.owns_files = owns_files
    _Reader.changed = {} if mutant is None else {home / mutant.file: mutant.apply(read_trees()[home / mutant.file])}


@cache
def load_once() -> KnowledgeBase:
    """The rule base as it is."""
    return load(None)


def load(mutant: Mutant | None) -> KnowledgeBase:
    """The rule base with a mutant's edit. Raises KnowledgeError when the loader refuses it."""
    install(mutant)
    return knowledge_loader.load_knowledge()


def load_with_choices(folder: Path | None = None, **more: Any) -> KnowledgeBase:
    """The rule base under a row's choices: they are edits, so the files in memory are copied first."""
    _Reader.owns_files = True
    try:
        return knowledge_loader.load_knowledge(folder, **more)
    finally:
        _Reader.owns_files = False
