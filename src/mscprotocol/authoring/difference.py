"""What differs between two folders of rules, entry by entry and field by field, in words."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
from pydantic import BaseModel

from mscprotocol.authoring.entries import Entry, Place, RuleFolder, walk
from mscprotocol.codes import Coding
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import Group, Leaf, Quantity
from mscprotocol.timespan import Window
from mscprotocol.wording import describe


class FieldChange(msgspec.Struct, frozen=True):
    """A field of an entry with its old and new words; empty where there was or is nothing."""

    field: str
    old: str
    new: str


class EntryChange(msgspec.Struct, frozen=True):
    """An entry that was added, removed or changed."""

    kind: str
    name: str
    change: str
    place: str
    fields: list[FieldChange] = []


class OutcomeChange(msgspec.Struct, frozen=True):
    """Something asked of both folders that comes out differently; `protocol` is empty for a row of the tables."""

    asked: str
    protocol: str
    what: str
    old: str
    new: str


class Difference(msgspec.Struct, frozen=True):
    """All that differs between two folders of rules."""

    old_sha256: str
    new_sha256: str
    entries: list[EntryChange]
    rows: list[OutcomeChange]
    patients: list[OutcomeChange]


def compare_entries(old: RuleFolder, new: RuleFolder) -> Iterator[EntryChange]:
    """Every entry that is not the same in both folders."""
    for key in dict.fromkeys((*old.entries, *new.entries)):
        before, after = old.entries.get(key), new.entries.get(key)
        if before is None or after is None:
            one = after or before
            assert one is not None
            yield EntryChange(*key, "added" if before is None else "removed", f"{one.file}:{one.line()}")
        elif fields := list(_changes(old, before, new, after)):
            yield EntryChange(*key, "changed", f"{after.file}:{after.line()}", fields)


def _changes(old: RuleFolder, before: Entry, new: RuleFolder, after: Entry) -> Iterator[FieldChange]:
    was, is_ = _words(old.knowledge, before.value), _words(new.knowledge, after.value)
    for field in dict.fromkeys((*was, *is_)):
        if was.get(field) != is_.get(field):
            yield FieldChange(field, was.get(field, ""), is_.get(field, ""))


def _words(knowledge: KnowledgeBase, value: Any) -> dict[str, str]:
    """Every field of an entry in words by its path: a rule as one sentence, and each of its numbers and names."""
    found: dict[str, str] = {}
    said: Place | None = None
    for place, inner in walk(value):
        if said is not None and place[: len(said)] == said:
            continue  # inside what has been said as one text
        path = ".".join(map(str, place))
        if isinstance(inner, Group | Leaf) and place[-1:] == ("when",):
            found[f"{path} (in words)"] = describe(knowledge, inner)  # type: ignore[arg-type]
        elif (text := _plain(inner)) is not None:
            found[path], said = text, place
    return found


def _plain(value: Any) -> str | None:
    """A value that is said as one text, or None for one that is looked into."""
    match value:
        case Quantity() | Coding():
            return str(value)
        case Window():
            return value.text
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return f"{value:f}"
        case tuple() | list():
            return ", ".join(value) if value and all(isinstance(one, str) for one in value) else None
        case None | BaseModel() | dict():
            return None
        case _:
            return str(value)
