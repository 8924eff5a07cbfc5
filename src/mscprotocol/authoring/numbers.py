"""Every number of an entry in words, with its sources and how far each was checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from mscprotocol.authoring.entries import Entry, Place, walk
from mscprotocol.data_dictionary import Condition, Measurement
from mscprotocol.definitions import Signal
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import Leaf, Mark, Quantity, SourceRef
from mscprotocol.protocols import Sourced
from mscprotocol.timespan import Window
from mscprotocol.wording import EVER, describe_leaf, describe_quantity

SITE = SourceRef(id="site-policy", mark="site")
# A mark that needs no publication: nothing was read.
_BY_MARK = {"site": (SITE,), "recalled": (SourceRef(id="recalled", mark="recalled"),)}
# How long something holds is a choice of this software wherever it stands, whatever its rule rests on.
_OURS = {"attested_for", "acts_for", "max_age", "hard", "soft", "resolution", "pairing", "upper_limit_between"}


@dataclass(frozen=True)
class Number:
    """One number with what it says, and the sources that state it; without any, its mark is not known."""

    place: Place
    words: str
    sources: tuple[SourceRef, ...]
    note: str = ""

    @property
    def marks(self) -> tuple[Mark, ...]:
        return tuple(dict.fromkeys(source.mark for source in self.sources))


def numbers_of(knowledge: KnowledgeBase, entry: Entry) -> Iterator[Number]:
    """Every threshold, length of time and dose of an entry; a leaf with its numbers counts as one."""
    seen: set[str] = set()
    for place, value in walk(entry.value):
        words = _words(knowledge, place, value)
        if words is not None and words not in seen:
            seen.add(words)
            note = value.note if isinstance(value, Sourced) else ""
            yield Number(place, words, _sources(entry, place), note)


def _words(knowledge: KnowledgeBase, place: Place, value: object) -> str | None:
    match value:
        case Leaf() if any(_is_number(inner) for _, inner in walk(value)):
            return describe_leaf(knowledge, value)
        case Sourced():
            return f"{_name(place)} {describe_quantity(value.value)}"
        case Signal():
            return f"{value.text}: {_said(value)}"
        case _ if _is_number(value) and not _is_inside(place):
            return f"{_name(place)} {_text(value)}"
        case _:
            return None


def _is_number(value: object) -> bool:
    return isinstance(value, Quantity | Decimal) or (isinstance(value, Window) and value.text != EVER)


def _is_inside(place: Place) -> bool:
    """Whether a number is said with its leaf, signal or dose, or merely converts one unit to another."""
    return bool({"when", "signals", "value", "units"} & set(place)) and not set(place) & _OURS


def _said(signal: Signal) -> str:
    fields = {name: getattr(signal, name) for name in type(signal).model_fields}
    return ", ".join(f"{_name((name,))} {_text(one)}" for name, one in fields.items() if _is_number(one))


def _text(value: object) -> str:
    match value:
        case Quantity():
            return describe_quantity(value)
        case Window():
            return value.text
        case _:
            return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _name(place: Place) -> str:
    return " ".join(step.replace("_", " ") for step in place if isinstance(step, str) and step != "value")


def _sources(entry: Entry, place: Place) -> tuple[SourceRef, ...]:
    """The source nearest to a number: of its leaf, of its option, or else of the whole entry."""
    if set(place) & _OURS:
        return (SITE,)
    found: tuple[SourceRef, ...] = ()
    for value in _along(entry.value, place):
        found = _stated(value) or found
    return found


def _along(value: Any, place: Place) -> Iterator[Any]:
    """An entry and every step from it down to a place."""
    yield value
    for step in place:
        value = getattr(value, step) if isinstance(step, str) and not isinstance(value, dict) else value[step]
        yield value


def _stated(value: Any) -> tuple[SourceRef, ...]:
    match value:
        case Leaf():
            return () if value.source is None else (value.source,)
        case Sourced():
            return (SourceRef.model_construct(id=value.source, mark=value.mark, section=None, quote=None),)
        case Measurement() | Condition():
            return getattr(value, "sources", ()) or _BY_MARK.get(value.mark, ())
        case BaseModel():
            return getattr(value, "sources", ())
        case _:
            return ()
