"""Every mutant of the rule base: one small wrong edit of one place in `rules/`, as a person might make it.

Mutated are numbers (thresholds, factors, limits, points, doses, lengths of time), operators, answers, groups, rows and
flags. Not mutated are texts, sources, marks, codes, words and aliases of units: they decide nothing by their size, and
codes have tests of their own in `tests/adapters`. A place that YAML aliases share is one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Path = tuple[str | int, ...]
Tree = dict[str, Any]
Edit = Callable[[Any, Any], None]  # what holds the place, and its key there

UNTOUCHED = {"sources.yaml", "units.yaml", "checklists.yaml"}
_TEXT = {
    "id", "text", "version", "note", "notes", "title", "short_title", "source", "sources", "section", "quote", "mark",
    "words", "codes", "refused", "icd10", "icd10_except", "suspected", "refuted_by", "code", "order", "kind", "about",
    "unit", "name", "statements", "facts", "product_codes", "not_computable", "show", "role", "stage", "answers",
    "levels", "default", "made_of", "inputs", "form", "conclude", "assessed", "severity", "tier", "trend", "route",
    "checklist", "practice", "condition", "finding", "measurement", "score", "conclusion", "unknown_if", "change",
    "lowest", "highest", "domain", "nct", "url", "id_registry", "warnings",
}  # fmt: skip
_FLAGS = {
    "any_clinical_status", "by_onset", "record_wins", "no_record", "unless", "not_met_needs", "worst", "hourly",
    "not_after", "beside", "baseline_only", "confounded_by", "upper_limit", "bedside", "select", "received_in",
    "within", "gap", "floor", "above", "absolute", "relative", "at_least_apart", "pairing", "during", "not_during",
    "set_aside", "rise", "denied_up_to", "up_to", "held_within", "contradicted_by", "not_before",
}  # fmt: skip
_LISTS = {
    "answer", "not_answer", "met", "not_met", "review", "received_in", "items", "worse", "better", "stable",
    "positive", "negative", "parts", "denied_by", "requires", "criteria",
}  # fmt: skip
_OPERATORS = {"lt": "lte", "lte": "lt", "gt": "gte", "gte": "gt"}
_GROUPS = {"all_of": "any_of", "any_of": "all_of", "none_of": "all_of"}
_OPPOSITES = {"up": "down", "down": "up", "actual": "predicted", "predicted": "actual", "viable": "total",
              "total": "viable"}  # fmt: skip
_CHOICES = {"bad", "weight_basis", "label_basis"}
_MINUTES = {"min": 1, "h": 60, "d": 1440, "wk": 10080}
_TIMES = {*_MINUTES, "mo", "a"}
_QUANTITY = re.compile(r"(-?\d+(?:\.\d+)?) (\S+)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Mutant:
    """One wrong edit: where it is made, and what it changes there."""

    kind: str
    file: str
    line: int
    path: Path
    change: str
    places: tuple[Path, ...]
    edit: Edit

    @property
    def name(self) -> str:
        return f"{self.file} {'.'.join(map(str, self.path))}: {self.change}"

    @property
    def owner(self) -> str:
        """The entry that is changed: a protocol is a file of its own."""
        return self.file.rpartition("/")[2].removesuffix(".yaml") if is_one_entry(self.file) else str(self.path[0])

    def apply(self, tree: Tree) -> Tree:
        """The file with the edit made; what is not changed is shared with the file as it was."""
        changed = tree
        for path in self.places:
            changed = _with_own_path(changed, path)
            holder: Any = changed
            for step in path[:-1]:
                holder = holder[step]
            self.edit(holder, path[-1])
        return changed


def is_one_entry(file: str) -> bool:
    """Whether a file is one entry and not a mapping of them."""
    return file.startswith("protocols/")


def _with_own_path(tree: Tree, path: Path) -> Tree:
    """A copy of the file in which the entry that a path leads into is its own."""
    if len(path) == 1:
        return deepcopy(tree)
    changed = type(tree)(tree)
    changed.__dict__.update(tree.__dict__)
    changed[path[0]] = deepcopy(tree[path[0]])  # type: ignore[index]
    return changed


def make_mutants(trees: Mapping[str, Tree], vocabulary: Mapping[str, tuple[str, ...]], step: Any) -> list[Mutant]:
    """Every mutant of every file, in the order of the files; `vocabulary` names the answers of each datum.

    `step(datum, unit)` is the least difference of a datum in one of its units.
    """
    found: list[Mutant] = []
    for file in sorted(set(trees) - UNTOUCHED):
        maker = _Maker(file, trees[file], vocabulary, step)
        made: dict[tuple[object, ...], list[tuple[str, int, Path, str, Edit]]] = {}
        for kind, path, change, edit in maker.walk(trees[file], ()):
            line = trees[file].line_of(path)  # type: ignore[attr-defined]
            made.setdefault((line, path[1:], change), []).append((kind, line, path, change, edit))
        for several in made.values():
            kind, line, path, change, edit = several[0]
            found.append(Mutant(kind, file, line, path, change, tuple(one[2] for one in several), edit))
    return found


_Made = tuple[str, Path, str, Edit]


class _Maker:
    def __init__(self, file: str, tree: Tree, vocabulary: Mapping[str, tuple[str, ...]], step: Any) -> None:
        self.file, self.tree, self.vocabulary, self.step = file, tree, vocabulary, step

    def walk(self, node: Any, path: Path) -> Iterator[_Made]:
        """The mutants of everything inside a node."""
        steps = (
            list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
        )
        for key, value in steps:
            here = (*path, key)
            yield from self._mutate(node, key, value, here)
            if key not in _TEXT or self._holds_entries(path):
                yield from self.walk(value, here)

    def _holds_entries(self, path: Path) -> bool:
        """Whether the keys below are names of our own, and no words of the language of the rules."""
        return (not path and not is_one_entry(self.file)) or path[-1:] in (("signals",), ("parameters",), ("units",))

    def _mutate(self, holder: Any, key: Any, value: Any, path: Path) -> Iterator[_Made]:
        if self._holds_entries(path[:-1]) and isinstance(value, dict):
            return
        if isinstance(holder, list):
            yield from self._of_member(holder, value, path)
        if key in _TEXT and not self._holds_entries(path[:-1]):
            return
        if key in _GROUPS:
            yield "group", path, f"{key} -> {_GROUPS[key]}", _rename(_GROUPS[key])
        if key in _OPERATORS and isinstance(value, str):
            yield "operator", path, f"{key} {value} -> {_OPERATORS[key]}", _rename(_OPERATORS[key])
        if key in _FLAGS and (value is True or isinstance(value, str | list)):
            yield "flag", path, f"without {key}: {value}", _drop
        if key in _CHOICES:
            yield "choice", path, f"{key} {value} -> {_OPPOSITES[value]}", _put(_OPPOSITES[value])
        if key in _LISTS or path[-2:-1] in (("all",), ("any",)):
            yield from self._of_list(holder, key, value, path)
        yield from self._of_scalar(holder, key, value, path)

    # -- numbers --

    def _of_scalar(self, holder: Any, key: Any, value: Any, path: Path) -> Iterator[_Made]:
        kind = "points" if key in ("points", "otherwise") and isinstance(value, int) else "number"
        if isinstance(value, bool) or value is None:
            return
        if isinstance(value, int) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
            number = Decimal(str(value))
            for other in (number - _last_place(number), number + _last_place(number)):
                yield (
                    kind,
                    path,
                    f"{key} {value} -> {other}",
                    _put(int(other) if isinstance(value, int) else str(other)),
                )
        elif isinstance(value, str) and key not in _OPERATORS and _lengths(value):
            for other in _lengths(value):
                yield "length", path, f"{key} {value} -> {other}", _put(other)
        elif isinstance(value, str) and (match := _QUANTITY.fullmatch(value)):
            number, unit = Decimal(match[1]), match[2]
            step = self._step_at(holder, unit) or _last_place(number)
            for changed in (number - step, number + step):
                yield "threshold", path, f"{key} {value} -> {changed:f} {unit}", _put(f"{changed:f} {unit}")

    def _step_at(self, holder: Any, unit: str) -> Decimal | None:
        name = holder.get("measurement") if isinstance(holder, dict) else None
        return None if name is None else self.step(name, unit)

    # -- lists --

    def _of_list(self, holder: Any, key: Any, value: Any, path: Path) -> Iterator[_Made]:
        if isinstance(value, dict):
            return
        named = [value] if isinstance(value, str) else list(value)
        kind = "list" if key == "criteria" else "answer"
        for one in named:
            rest = [other for other in named if other != one]
            if not rest and key in _FLAGS:
                continue  # the same edit as leaving out the flag
            yield kind, path, f"{key} without {one}", _put(rest) if rest else _drop
        for other in self._neighbours(holder, key, named, path):
            yield kind, path, f"{key} with {other}", _put([*named, other])

    def _neighbours(self, holder: Any, key: Any, named: list[str], path: Path) -> list[str]:
        """The answers nearest to those named that are not: one before and one after, in the order of the datum."""
        if not isinstance(holder, dict):
            return []
        about = holder.get("measurement") or holder.get("conclusion") or holder.get("score")
        if path[-2:-1] in (("all",), ("any",)):
            about = f"{path[0]}.{key}"
        said = {one for other in ("met", "not_met", "review", "answer", "not_answer", "worse", "better", "stable")
                if other != key for one in _as_list(holder.get(other))}  # fmt: skip
        known = [one for one in self.vocabulary.get(str(about), ()) if one not in said]
        places = [known.index(one) for one in named if one in known]
        if not places or key in ("criteria", "received_in", "parts", "denied_by", "requires"):
            return []
        return [known[n] for n in (min(places) - 1, max(places) + 1) if 0 <= n < len(known) and known[n] not in named]

    def _of_member(self, holder: list[Any], value: Any, path: Path) -> Iterator[_Made]:
        """A row, rung or member of a group that is forgotten, or a row that concludes something else."""
        if isinstance(value, dict) and len(holder) > 1 and "code" not in value:
            kind = "row" if path[-2] in ("rows", "rungs", "inferred", "tests", "levels") else "member"
            yield kind, path, f"without {path[-2]} {path[-1]}", _drop
        if isinstance(value, dict) and "conclude" in value:
            others = sorted({row["conclude"] for row in holder} - {value["conclude"]})
            for other in others[:1]:
                yield "row", (*path, "conclude"), f"concludes {other}", _put(other)


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _last_place(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(min(exponent, 0))


def _lengths(text: str) -> list[str]:
    """A length of time a minute shorter and longer; calendar months and years by one of them."""
    parts = text.split(" or ")
    found = []
    for place, part in enumerate(parts):
        match = _QUANTITY.fullmatch(part)
        if match is None or not match[1].isdigit() or match[2] not in _TIMES:
            return []
        amount, unit = int(match[1]), match[2]
        if unit in _MINUTES:
            others = [f"{amount * _MINUTES[unit] + step} min" for step in (-1, 1)]
        else:
            others = [f"{amount + step} {unit}" for step in (-1, 1)]
        found += [" or ".join([*parts[:place], other, *parts[place + 1 :]]) for other in others]
    return found


# -- edits --


def _put(value: Any) -> Edit:
    def edit(holder: Any, key: Any) -> None:
        holder[key] = value

    return edit


def _drop(holder: Any, key: Any) -> None:
    del holder[key]


def _rename(new: str) -> Edit:
    def edit(holder: Any, key: Any) -> None:
        old = dict(holder)
        holder.clear()
        holder.update({new if one == key else one: value for one, value in old.items()})

    return edit
