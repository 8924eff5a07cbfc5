"""Every entry of a folder of rules by kind and name, with the file and line of each place in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.places import find_folder
from mscprotocol.yaml_files import YamlMapping, read_yaml

# Where each kind stands, under the folder of rules and in the knowledge that it loads to.
PLACES = {
    "criterion": ("criteria", ("criteria",)),
    "definition": ("definitions", ("definitions",)),
    "measurement": ("measurements", ("measurements",)),
    "condition": ("conditions", ("conditions",)),
    "protocol": ("protocols", ("protocols", "information")),
    "practice": ("practices", ("practices",)),
    "parameter": ("parameters", ("parameters",)),
    "checklist": ("checklists", ("checklists",)),
    "source": ("sources", ("sources",)),
}
Place = tuple[str | int, ...]


@dataclass(frozen=True, eq=False)
class Entry:
    """One entry of the rules: its strict model, and the tree of the file that it was read from."""

    kind: str
    name: str
    value: Any
    file: str
    tree: YamlMapping
    inside: Place

    def line(self, place: Place = ()) -> int:
        """The line of a place inside the entry, or of the nearest step above it."""
        return self.tree.line_of((*self.inside, *place))

    @property
    def text(self) -> str:
        """What the entry says of itself in one line."""
        for field in ("text", "title", "citation"):
            said = getattr(self.value, field, None)
            if said:
                return str(said)
        return self.name


@dataclass(frozen=True, eq=False)
class RuleFolder:
    """A folder of rules as its owner sees it: the knowledge that it loads to, and every entry with its place."""

    knowledge: KnowledgeBase
    home: Path

    @cached_property
    def entries(self) -> dict[tuple[str, str], Entry]:
        """Every entry by kind and name; a name may stand for a condition and a definition at once."""
        return {(one.kind, one.name): one for one in self._read()}

    def of_kind(self, *kinds: str) -> list[Entry]:
        return [one for one in self.entries.values() if one.kind in kinds]

    def find(self, name: str) -> list[Entry]:
        """The entries of a name, `kind/name` for one kind only."""
        kind, _, bare = name.rpartition("/")
        return [one for one in self.entries.values() if one.name == bare and kind in ("", one.kind)]

    def nearest(self, name: str) -> list[str]:
        """Names that look like one that does not exist."""
        known = {one.name.casefold(): one.name for one in self.entries.values()}
        return [known[near] for near in get_close_matches(name.casefold(), known, n=5, cutoff=0.5)]

    def _read(self) -> Iterator[Entry]:
        for kind, (stem, held_in) in PLACES.items():
            values = {name: one for field in held_in for name, one in getattr(self.knowledge, field, {}).items()}
            for path in self._paths(stem):
                tree = read_yaml(path.read_text(encoding="utf-8"), is_ours=True)
                file = path.relative_to(self.home.parent).as_posix()
                named: dict[str, Place] = {path.stem: ()} if kind == "protocol" else {key: (key,) for key in tree}
                yield from (Entry(kind, name, values[name], file, tree, inside) for name, inside in named.items())

    def _paths(self, stem: str) -> list[Path]:
        """The file or the files of a folder that hold a kind."""
        single = self.home / f"{stem}.yaml"
        return [single] if single.is_file() else sorted((self.home / stem).glob("*.yaml"))


def read_folder(folder: Path | None = None) -> RuleFolder:
    """The rules of a folder (default: those that ship). Raises KnowledgeError with file and line."""
    home = folder or find_folder("rules")
    return RuleFolder(load_knowledge(home), home)


def walk(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value inside an entry with its place, outer ones first."""
    yield place, value
    if isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from walk(getattr(value, field), (*place, field))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, (*place, key))
    elif isinstance(value, tuple | list):
        for number, inner in enumerate(value):
            yield from walk(inner, (*place, number))
