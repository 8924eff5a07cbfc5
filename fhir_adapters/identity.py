"""Who is who: several statements of a Patient are one person, are two, or cannot be told apart; the last is refused.

One id, or an identifier (system and value) that both state, ties statements together; a name or a birth date never
does. What one of them leaves out contradicts nothing. Versions that can be ordered were ordered before (`versions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

import msgspec

from fhir_adapters.datatypes import Extension
from fhir_adapters.resources import Patient
from fhir_adapters.subjects import business_names
from fhir_adapters.times import parse_birth
from fhir_adapters.versions import Current, Version
from mscprotocol.errors import DataError

_SILENT = (None, "", "unknown")


def one_person(found: Sequence[Current[Patient]]) -> Patient:
    """The person whom all statements are about, with what any of them says.

    Raises DataError `mixed_patients` for statements that nothing ties together, or that contradict each other.
    """
    _refuse_untied(found)
    for (one, first), (other, second) in combinations([(each, it) for each in found for it in each.versions], 2):
        _refuse_contradiction(first, second, is_one_id=one is other)
    people = [version.resource for one in found for version in one.versions]
    return msgspec.structs.replace(
        complete(people[0], people[1:]),
        identifier=tuple(dict.fromkeys(each for one in people for each in one.identifier)),
        extension=_distinct(each for one in people for each in one.extension),
    )


def complete(own: Patient, others: Iterable[Patient]) -> Patient:
    """A person with what only other statements of the same person say, and the narrowest of the birth dates."""
    for other in others:
        gaps = {name: said for name in _COMPLETED if _is_gap(getattr(own, name)) and (said := getattr(other, name))}
        born = max(own.birth_date or "", other.birth_date or "", key=len)
        own = msgspec.structs.replace(own, **gaps, birth_date=born or None)
    return own


def is_same_birth(one: str | None, other: str | None) -> bool:
    """Whether two birth dates may be one; a year alone agrees with a day in it, and no date with any."""
    if not one or not other or one == other:
        return True
    spans = parse_birth(one), parse_birth(other)
    if spans[0] is None or spans[1] is None:
        return False
    (first, last), (start, end) = spans[0], spans[1]
    return (first <= start and end <= last) or (start <= first and last <= end)


# -- what ties, and what contradicts -------------------------------------------------------------------


def _refuse_untied(found: Sequence[Current[Patient]]) -> None:
    tied, *rest = [
        {name for each in one.versions for name in business_names(each.resource.identifier)} for one in found
    ]
    while joined := [one for one in rest if one & tied]:
        tied = tied.union(*joined)
        rest = [one for one in rest if one not in joined]
    if rest:
        text = f"the data hold more than one patient, {len(found)} in all, whom no identifier ties together"
        raise DataError("mixed_patients", f"{text}: send the data of one")


def _refuse_contradiction(one: Version[Patient], other: Version[Patient], *, is_one_id: bool) -> None:
    if one.damaged or other.damaged:
        raise DataError("mixed_patients", "one of several statements of the Patient is malformed: mend it")
    if what := next(_contradictions(one.resource, other.resource, is_one_id=is_one_id), None):
        text = f"statements of the Patient contradict each other in {what} and cannot be ordered"
        raise DataError("mixed_patients", f"{text}: correct one, or send the data of one patient")


def _contradictions(one: Patient, other: Patient, *, is_one_id: bool) -> Iterator[str]:
    if not is_same_birth(one.birth_date, other.birth_date):
        yield "the birth date"
    if _differ(one.gender, other.gender):
        yield "the sex"
    if _differ(_death(one), _death(other)) or _differ(one.deceased_date_time, other.deceased_date_time):
        yield "the death"
    # One id of one server is not one of two that both happen to use, if the birth date says so too.
    is_sure = is_one_id and one.birth_date and other.birth_date
    if not is_sure and not _share(one, other, _identifiers):
        yield "the identifiers of one system"
    if not is_sure and not _share(one, other, _names):
        yield "the given names"


def _differ(one: object, other: object) -> bool:
    return one not in _SILENT and other not in _SILENT and one != other


def _death(patient: Patient) -> bool | None:
    return True if patient.deceased_date_time else patient.deceased_boolean


def _share(one: Patient, other: Patient, told: Callable[[Patient], dict[str, set[str]]]) -> bool:
    """Whether two people have a word in common under every head that both have words under."""
    left, right = told(one), told(other)
    return all(left[head] & right[head] for head in left.keys() & right.keys())


def _identifiers(patient: Patient) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for system, value in business_names(patient.identifier):
        found.setdefault(system, set()).add(value)
    return found


def _names(patient: Patient) -> dict[str, set[str]]:
    """The given names, by which twins are told apart; a name changes with a marriage, but not these."""
    given = {word for name in patient.name for part in name.given for word in (part or "").casefold().split()}
    return {"given": given} if given else {}


# -- what all of them say ------------------------------------------------------------------------------

_COMPLETED = ("id", "name", "gender", "deceased_boolean", "deceased_date_time", "extension")


def _is_gap(said: object) -> bool:
    return not said or said in _SILENT


def _distinct(extensions: Iterable[Extension]) -> tuple[Extension, ...]:
    found: list[Extension] = []
    for one in extensions:
        if one not in found:
            found.append(one)
    return tuple(found)
