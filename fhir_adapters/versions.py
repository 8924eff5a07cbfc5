"""Several versions of one resource: the newest counts, a retraction removes, what cannot be ordered is a conflict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Generic, TypeVar

import msgspec

from fhir_adapters.datatypes import CodeableConcept, Meta
from fhir_adapters.resources import Resource
from fhir_adapters.subjects import split_url
from fhir_adapters.times import parse_time
from fhir_adapters.unpacking import Unit

R = TypeVar("R", bound=Resource)
_RANK = {"amended": 3, "corrected": 3, "final": 2, "preliminary": 1, "registered": 0}
_RETRACTED = "entered-in-error"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Version(Generic[R]):
    """One version of a resource, decoded; `damaged` are the paths that did not fit."""

    unit: Unit
    resource: R
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Current(Generic[R]):
    """What counts of all versions of a resource; `dropped` of them do not."""

    reference: str
    versions: tuple[Version[R], ...]
    dropped: int

    @property
    def is_conflicting(self) -> bool:
        return len(self.versions) > 1


def current_versions(versions: Iterable[Version[R]]) -> list[Current[R]]:
    """The current version of each resource; more than one where they contradict and cannot be ordered."""
    by_reference: dict[str, list[Version[R]]] = {}
    for version in versions:
        by_reference.setdefault(version.unit.reference, []).append(version)
    found: list[Current[R]] = []
    for reference, group in sorted(by_reference.items()):
        if len(group) == 1:
            found.append(Current(reference, tuple(group), 0))
        else:
            found.extend(_choose(name, same) for name, same in sorted(_by_server(group).items()))
    return found


def is_retracted(resource: Resource) -> bool:
    """Whether a resource was entered in error."""
    status = getattr(resource, "status", None)
    verification: CodeableConcept | None = getattr(resource, "verification_status", None)
    codes = {coding.code for coding in verification.coding} if verification else set()
    return status == _RETRACTED or _RETRACTED in codes


def _by_server(group: Sequence[Version[R]]) -> dict[str, list[Version[R]]]:
    """Resources of the same id on different servers are different resources, each named by its URL."""
    servers = {_server(version) for version in group} - {""}
    if len(servers) < 2:
        return {group[0].unit.reference: list(group)}
    found: dict[str, list[Version[R]]] = {}
    for version in group:
        server = _server(version)
        name = f"{server}/{version.unit.reference}" if server else version.unit.reference
        found.setdefault(name, []).append(version)
    return found


def _server(version: Version[R]) -> str:
    parts = split_url(version.unit.full_url)
    return parts[0] if parts and parts[1:] == (version.unit.type, version.unit.id) else ""


def _choose(reference: str, group: Sequence[Version[R]]) -> Current[R]:
    distinct = _distinct(group)
    chosen = distinct if len(distinct) == 1 else _newest(distinct) or _most_final(distinct)
    return Current(reference, tuple(chosen), len(distinct) - len(chosen))


def _distinct(group: Iterable[Version[R]]) -> list[Version[R]]:
    """Versions that differ; what differs in nothing that is read and cannot be told apart by age is one."""
    by_digest = {version.unit.digest: version for version in group}
    kept: list[Version[R]] = []
    for _, version in sorted(by_digest.items()):
        if not any(_says_the_same(version, other) for other in kept):
            kept.append(version)
    return kept


def _says_the_same(one: Version[R], other: Version[R]) -> bool:
    if _age(one) != _age(other) or one.damaged or other.damaged:
        return False
    left, right = (msgspec.structs.replace(item.resource, meta=None, contained=(), note=()) for item in (one, other))
    contained = [[bytes(raw) for raw in item.resource.contained] for item in (one, other)]
    return left == right and contained[0] == contained[1]


def _age(version: Version[R]) -> tuple[str | None, str | None]:
    meta = version.resource.meta
    return (meta.version_id, meta.last_updated) if meta else (None, None)


def _newest(versions: Sequence[Version[R]]) -> list[Version[R]]:
    """The newest by version number, else by time of change; none if neither orders them all."""
    numbers = [_number(version) for version in versions]
    if None not in numbers and len(set(numbers)) == len(numbers):
        return [max(versions, key=lambda version: _number(version) or 0)]
    times = [_changed(version) for version in versions]
    if None not in times and len(set(times)) == len(times):
        return [max(versions, key=lambda version: _changed(version) or _LONG_AGO)]
    return []


def _number(version: Version[R]) -> int | None:
    return version_number(version.resource.meta)


def version_number(meta: Meta | None) -> int | None:
    """The number of a version, where its name is one."""
    text = (meta.version_id if meta else None) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _changed(version: Version[R]) -> datetime | None:
    time = parse_time(_age(version)[1])
    return time.earliest if time is not None and time.is_instant else None


def _most_final(versions: Sequence[Version[R]]) -> list[Version[R]]:
    """Without an order, a retraction removes all; else a correction stands over a final value, that over a first.

    What is about different things may be different resources, whose ids somebody counted anew: then nothing stands over
    anything.
    """
    if _are_strangers(versions):
        return list(versions)
    retracted = [version for version in versions if is_retracted(version.resource)]
    if retracted:
        return retracted[:1]
    ranks = [_RANK.get(getattr(version.resource, "status", None) or "", 0) for version in versions]
    return [version for version, rank in zip(versions, ranks, strict=True) if rank == max(ranks)]


def _are_strangers(versions: Iterable[Version[R]]) -> bool:
    """Whether two versions have codes, and none in common."""
    said = [codes for version in versions if (codes := _codes(version.resource))]
    return any(one.isdisjoint(other) for one, other in combinations(said, 2))


def _codes(resource: Resource) -> frozenset[tuple[str, str]]:
    concept: CodeableConcept | None = getattr(resource, "code", None)
    concept = concept or getattr(resource, "medication_codeable_concept", None)
    coding = () if concept is None else concept.coding
    return frozenset((one.system or "", one.code) for one in coding if one.code)
