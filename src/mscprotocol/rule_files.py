"""Reads the YAML files of one folder into strict models: every error names its file and line."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mscprotocol.definitions import AnyDefinition, Decision, FindingDefinition, Ladder, Score, Trend
from mscprotocol.errors import KnowledgeError
from mscprotocol.protocols import InformationOnly, Protocol
from mscprotocol.yaml_files import YamlError, YamlMapping, read_yaml

T = TypeVar("T")
_KINDS: dict[str, type[AnyDefinition]] = {
    "finding": FindingDefinition,
    "ladder": Ladder,
    "score": Score,
    "decision": Decision,
    "trend": Trend,
}


class RuleReader:
    """Reads YAML 1.2 files of one folder and remembers where each entry stands."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.lines: dict[str, tuple[str, int]] = {}
        self._trees: dict[Path, YamlMapping] = {}

    @property
    def trees(self) -> dict[str, dict[str, Any]]:
        """Every file of the folder as read, by its relative name; what is changed in it is what will be validated."""
        return {path.relative_to(self.home).as_posix(): self._read(path) for path in sorted(self.home.rglob("*.yaml"))}

    def mapping(
        self, name: str, model: type[T], only: Container[str] | None = None, leave: Container[str] = ()
    ) -> dict[str, T]:
        """A file that maps names to entries of one model; of a file that holds several models, `only` some names."""
        path = self.home / name
        tree = self._read(path)
        wanted = [key for key in tree if key not in leave and (only is None or key in only)]
        return {key: self._entry(path, tree, key, model) for key in wanted}

    def mappings(self, folder: str, model: type[T]) -> dict[str, T]:
        """A folder of such files; a name may stand in only one of them."""
        found: dict[str, T] = {}
        for path in sorted((self.home / folder).glob("*.yaml")):
            entries = self.mapping(f"{folder}/{path.name}", model)
            for key in entries.keys() & found.keys():
                raise KnowledgeError(f"{key} is defined twice", *self.lines[key])
            found |= entries
        return found

    def cards(self) -> dict[str, Protocol | InformationOnly]:
        """The protocols, one a file that is named like its id."""
        found: dict[str, Protocol | InformationOnly] = {}
        for path in sorted((self.home / "protocols").glob("*.yaml")):
            tree = self._read(path)
            self.lines[path.stem] = (self._name(path), 1)
            model: Any = InformationOnly if tree.get("assessed") is False else Protocol
            found[path.stem] = self._validated(path, tree, (), model)
            if found[path.stem].id != path.stem:
                raise KnowledgeError("the id must be the file's name", self._name(path), 1)
        return found

    def definitions(self) -> dict[str, AnyDefinition]:
        found: dict[str, AnyDefinition] = {}
        for path in sorted((self.home / "definitions").glob("*.yaml")):
            tree = self._read(path)
            for key in tree:
                entry = tree[key]
                kind = _KINDS.get(entry.get("kind", "")) if isinstance(entry, dict) else None
                if kind is None:
                    raise KnowledgeError(
                        f"{key}: kind must be one of {', '.join(_KINDS)}",
                        self._name(path),
                        tree.line_of((key,)),
                    )
                if key in found:
                    raise KnowledgeError(f"{key} is defined twice", *self.lines[key])
                entry.setdefault("id", key)
                found[key] = self._entry(path, tree, key, kind)
        return found

    def _name(self, path: Path) -> str:
        return path.relative_to(self.home.parent).as_posix()

    def _read(self, path: Path) -> YamlMapping:
        found = self._trees.get(path)
        if found is None:
            found = self._trees[path] = self._read_file(path)
        return found

    def _read_file(self, path: Path) -> YamlMapping:
        try:
            return read_yaml(path.read_text(encoding="utf-8"), is_ours=True)
        except YamlError as error:
            raise KnowledgeError(str(error), self._name(path), error.line) from error
        except (OSError, UnicodeDecodeError) as error:
            raise KnowledgeError(f"cannot be read: {error}", self._name(path)) from error

    def _entry(self, path: Path, tree: YamlMapping, key: str, model: type[T]) -> T:
        self.lines[key] = (self._name(path), tree.line_of((key,)))
        return self._validated(path, tree, (key,), model)

    def _validated(self, path: Path, tree: YamlMapping, place: tuple[str, ...], model: type[T]) -> T:
        node: Any = tree
        for step in place:
            node = node[step]
        try:
            return TypeAdapter(model).validate_python(node)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in (*place, *first["loc"]))
            line = tree.line_of((*place, *first["loc"]))
            raise KnowledgeError(f"{where}: {first['msg']}", self._name(path), line) from error
