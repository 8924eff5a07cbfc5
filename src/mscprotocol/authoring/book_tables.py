"""The tables of the rule book: the data dictionary and the bibliography, a row for each entry."""

from __future__ import annotations

from collections.abc import Iterator

from mscprotocol.authoring.entries import Entry, RuleFolder
from mscprotocol.authoring.uses import users
from mscprotocol.authoring.words import condition_lines
from mscprotocol.data_dictionary import Conversion, Limits, Measurement
from mscprotocol.knowledge import KnowledgeBase

Row = tuple[str, ...]


def measurement_row(entry: Entry) -> Row:
    """Id, text, unit with what is accepted, codes, plausible range, shelf lives, mark."""
    datum: Measurement = entry.value
    ages = {"screening": datum.max_age.screening, "infusion": datum.max_age.infusion}
    return (
        entry.name,
        datum.text,
        "; ".join(_units(datum)) or ", ".join(datum.levels or datum.answers),
        ", ".join(f"{one.code}{f' ({one.flag or one.assay})' if one.flag or one.assay else ''}" for one in datum.codes),
        "; ".join(_ranges(datum)),
        "; ".join(f"{stage} {age.text}" for stage, age in ages.items() if age),
        datum.mark,
    )


def condition_row(knowledge: KnowledgeBase, entry: Entry) -> Row:
    """Id, text, kind, what shows or denies it, mark."""
    return (
        entry.name,
        entry.value.text,
        entry.value.kind,
        "; ".join(condition_lines(knowledge, entry.value)),
        entry.value.mark,
    )


def source_rows(rules: RuleFolder) -> Iterator[Row]:
    """Id, citation, what was read, note, by how many entries it is cited."""
    cited = users(rules)
    for entry in rules.of_kind("source"):
        by = {use.by.name for use in cited[entry.kind, entry.name]}
        source = entry.value
        note = "; ".join(filter(None, (source.note, source.kept_for and f"kept for: {source.kept_for}", source.url)))
        yield entry.name, source.citation, source.read, note, str(len(by))


def _units(datum: Measurement) -> Iterator[str]:
    if datum.kind not in ("quantity", "derived"):
        return
    yield datum.unit
    yield from (_conversion(unit, how) for unit, how in datum.units.items() if unit != datum.unit)


def _conversion(unit: str, how: Conversion) -> str:
    """An accepted unit with how it is turned into the canonical one."""
    steps = (
        (how.offset, f"- {how.offset:f}", 0),
        (how.factor, f"× {how.factor:f}", 1),
        (how.divisor, f"/ {how.divisor:f}", 1),
    )
    return " ".join([unit, *(words for value, words, nothing in steps if value != nothing)])


def _ranges(datum: Measurement) -> Iterator[str]:
    for name, limits in (
        ("plausible", datum.hard),
        ("usual", datum.soft),
        ("limit of normal", datum.upper_limit_between),
    ):
        if isinstance(limits, Limits):
            yield f"{name} {limits.low:f} to {limits.high:f}"
    yield from (f"{name.replace('_', ' ')} {value:f}" for name, value in datum.parameters.items())
    yield from (f"parameters from {one.id} ({one.mark})" for one in datum.sources)
