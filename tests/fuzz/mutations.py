"""Seeded damage to a bundle: what senders, converters and disks do to JSON, one to four times over."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

Tree = Any
Place = tuple[Any, Any]  # a container and a key or index in it
_ISO = re.compile(r"\d{4}(-\d\d(-\d\d(T.*)?)?)?")
_KINDS: tuple[Any, ...] = (None, True, False, 0, -1, 1.5, "", "x", [], {}, [None], {"a": 1}, [[]], "1", "true")
_NUMBERS: tuple[Any, ...] = (
    0, -0.0, -70, 1e308, 5e-324, 10**50, 10**400, -(10**30), 1e-9, 99999999999.123456789, float("nan"), float("inf"),
)  # fmt: skip
_TEXTS = (
    "NaN", "Infinity", "-Infinity", "1e9", "null", "\ud800", "\u202e07", "\x00", "<script>alert(1)</script>", "[red]",
    "{{ 7*7 }}", "%s%n", "../../etc/passwd", "'; --", "💉" * 50, "a" * 5000, "[/]", "Patient/other", "#x", "urn:uuid:0",
)  # fmt: skip
_UNITS = (
    "g",
    "[lb_av]",
    "mg",
    "mmol/L",
    "ug/L",
    "%",
    "1",
    "KG",
    "kPa",
    "mm[hg]",
    "10*9/l",
    "furlong",
    "",
    "{FEU}ug/mL",
)
_STATUSES = (
    "entered-in-error", "cancelled", "preliminary", "amended", "final", "unknown", "registered", "FINAL", "refuted",
    "active", "resolved", "completed", "in-progress", "not-done",
)  # fmt: skip
_ZONES = ("Z", "+14:00", "-12:00", "+08:00", "+99:00", "")
_DATES = ("0000-00-00", "9999-12-31", "2020-02-30", "2020", "2020-04", "0001-01-01T00:00:00+14:00", "20200406", "now")


def mutate(content: bytes, random: Random) -> bytes:
    """The same bundle after one to four misfortunes."""
    tree = json.loads(content)
    for _ in range(random.choice((1, 1, 2, 3, 4))):
        random.choice(_TREE_MUTATIONS)(tree, random)
    damaged = json.dumps(tree).encode()
    if random.random() < 0.15:
        damaged = random.choice(_BYTE_MUTATIONS)(damaged, random)
    return damaged


# -- places ------------------------------------------------------------------------------------------


def _places(tree: Tree) -> Iterator[Place]:
    keys = tree.keys() if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def _pick(tree: Tree, random: Random, wanted: Callable[[Any, Any], bool] = lambda _key, _value: True) -> Place | None:
    """A place of the bundle; of its entries first, so that not each blow strikes the largest resource."""
    entries = tree.get("entry")
    root = random.choice(entries) if isinstance(entries, list) and entries and random.random() < 0.95 else tree
    found = [place for place in _places(root) if wanted(place[1], place[0][place[1]])]
    return random.choice(found) if found else None


def _set(tree: Tree, random: Random, values: tuple[Any, ...], wanted: Callable[[Any, Any], bool]) -> None:
    place = _pick(tree, random, wanted)
    if place is not None:
        place[0][place[1]] = random.choice(values)


def _is_number(_key: Any, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# -- damage to the tree ------------------------------------------------------------------------------


def _drop(tree: Tree, random: Random) -> None:
    place = _pick(tree, random)
    if place is not None:
        del place[0][place[1]]


def _swap(tree: Tree, random: Random) -> None:
    one, other = _pick(tree, random), _pick(tree, random)
    if one is not None and other is not None and not _is_within(one, other) and not _is_within(other, one):
        one[0][one[1]], other[0][other[1]] = other[0][other[1]], one[0][one[1]]


def _is_within(one: Place, other: Place) -> bool:
    """Whether a place lies in what stands at another: a swap would tie a knot."""
    value = other[0][other[1]]
    return value is one[0] or any(container is one[0] for container, _ in _places(value))


def _change_type(tree: Tree, random: Random) -> None:
    _set(tree, random, _KINDS, lambda _key, _value: True)


def _change_number(tree: Tree, random: Random) -> None:
    _set(tree, random, _NUMBERS, _is_number)


def _scale_number(tree: Tree, random: Random) -> None:
    place = _pick(tree, random, _is_number)
    if place is not None:
        place[0][place[1]] *= random.choice((10, 0.1, 1000, 0.001, 2, -1, 1.01))


def _quote_number(tree: Tree, random: Random) -> None:
    place = _pick(tree, random, _is_number)
    if place is not None:
        place[0][place[1]] = str(place[0][place[1]])


def _change_text(tree: Tree, random: Random) -> None:
    _set(tree, random, _TEXTS, lambda _key, value: isinstance(value, str))


def _truncate(tree: Tree, random: Random) -> None:
    place = _pick(tree, random, lambda _key, value: isinstance(value, str) and len(value) > 1)
    if place is not None:
        text = place[0][place[1]]
        place[0][place[1]] = text[: random.randrange(len(text))]


def _change_unit(tree: Tree, random: Random) -> None:
    unit = random.choice(_UNITS)
    place = _pick(tree, random, lambda key, value: key == "valueQuantity" and isinstance(value, dict))
    if place is not None:
        place[0][place[1]].update(unit=unit, code=unit)


def _change_status(tree: Tree, random: Random) -> None:
    _set(tree, random, _STATUSES, lambda key, value: key in ("status", "code") and isinstance(value, str))


def _add_comparator(tree: Tree, random: Random) -> None:
    place = _pick(tree, random, lambda key, value: key == "valueQuantity" and isinstance(value, dict))
    if place is not None:
        place[0][place[1]]["comparator"] = random.choice(("<", "<=", ">", ">=", "ad", "~"))


def _shift_date(tree: Tree, random: Random) -> None:
    place = _pick(tree, random, lambda _key, value: isinstance(value, str) and bool(_ISO.fullmatch(value)))
    if place is not None:
        place[0][place[1]] = _shifted(place[0][place[1]], random)


def _shifted(text: str, random: Random) -> str:
    try:
        moved = datetime.fromisoformat(text) + timedelta(hours=random.choice((-876000, -2400, -25, -1, 1, 25, 876000)))
    except (ValueError, OverflowError):
        return random.choice(_DATES)
    cut = random.choice((4, 7, 10, None, None))
    other_zone = moved.isoformat()[:19] + random.choice(_ZONES)
    return random.choice((moved.isoformat()[:cut], other_zone, random.choice(_DATES)))


def _nest(tree: Tree, random: Random) -> None:
    place = _pick(tree, random)
    if place is None:
        return
    value = place[0][place[1]]
    for _ in range(random.choice((1, 2, 50, 300))):
        value = [value] if random.random() < 0.5 else {"item": value}
    place[0][place[1]] = value


def _drop_entry(tree: Tree, random: Random) -> None:
    entries = tree.get("entry")
    if isinstance(entries, list) and entries:
        del entries[random.randrange(len(entries))]


def _double_entry(tree: Tree, random: Random) -> None:
    entries = tree.get("entry")
    if isinstance(entries, list) and entries:
        copy = json.loads(json.dumps(random.choice(entries)))
        entries.append(copy)
        _scale_number(copy, random)


def _rename_key(tree: Tree, random: Random) -> None:
    place = _pick(tree, random, lambda key, _value: isinstance(key, str))
    if place is not None:
        name = random.choice((place[1].upper(), f"_{place[1]}", place[1] + " ", "value", "valueString", "subject"))
        place[0][name] = place[0].pop(place[1])


_TREE_MUTATIONS: tuple[Callable[[Tree, Random], None], ...] = (
    _drop, _swap, _change_type, _change_number, _scale_number, _quote_number, _change_text, _truncate, _change_unit,
    _change_status, _add_comparator, _shift_date, _nest, _drop_entry, _double_entry, _rename_key,
)  # fmt: skip


# -- damage to the bytes -----------------------------------------------------------------------------


def _flip(content: bytes, random: Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 10))):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content))]


def _repeat_key(content: bytes, random: Random) -> bytes:
    """A key twice in one object, its values contradicting."""
    found = list(re.finditer(rb'"value": (-?[0-9.]+)', content))
    if not found:
        return content
    chosen = random.choice(found)
    return content[: chosen.end()] + b', "value": 1' + content[chosen.end() :]


def _write_exponent(content: bytes, random: Random) -> bytes:
    found = list(re.finditer(rb'(?<="value": )-?[0-9.]+', content))
    if not found:
        return content
    chosen = random.choice(found)
    number = random.choice((b"1e400", b"7.0e1", b"70E0", b"1e-400", b"0." + b"3" * 500, b"1e999999999", b"070", b"+70"))
    return content[: chosen.start()] + number + content[chosen.end() :]


def _deepen(content: bytes, random: Random) -> bytes:
    """Deeper than any reader's stack."""
    depth = random.choice((500, 5000, 100000))
    return content[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}"


_BYTE_MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flip,
    _flip,
    _cut,
    _repeat_key,
    _write_exponent,
    _deepen,
)
