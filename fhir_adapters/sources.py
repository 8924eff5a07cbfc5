"""The files of one patient in whatever format they are, by their content: FHIR JSON, HL7 v2 or our own record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from zoneinfo import ZoneInfo

from fhir_adapters.bundle import PatientBundle, read_bundle
from fhir_adapters.hl7v2_files import is_hl7v2
from fhir_adapters.hl7v2_patients import read_patient
from fhir_adapters.identity import complete, is_same_birth
from fhir_adapters.persons import read_person
from fhir_adapters.plain_record import is_fhir, read_plain
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase


def read_files(contents: Sequence[bytes], zone: ZoneInfo | None = None) -> PatientBundle:
    """The one patient of some files. `zone` is where HL7 v2 times without one were written. Raises DataError."""
    kinds = {is_hl7v2(content) for content in contents}
    if len(kinds) > 1:
        raise DataError("unreadable", "FHIR and HL7 v2 files of one patient cannot be told to be of the same person")
    return read_patient(contents, zone) if True in kinds else read_bundle(list(contents))


def read_parts(contents: Sequence[bytes], knowledge: KnowledgeBase, zone: ZoneInfo | None = None) -> PatientBundle:
    """The one patient of what was kept of somebody: files as in `read_files`, and records of our own beside them.

    Whoever kept them together says that they are of one person; they must not contradict each other about who it is.
    Raises what `read_files` and `read_plain` do.
    """
    records = [one for one in contents if not is_hl7v2(one) and not is_fhir(one)]
    files = [one for one in contents if one not in records]
    found = [read_files(files, zone)] if files or not records else []
    return reduce(_joined, [*found, *(read_plain(one, knowledge) for one in records)])


def _joined(one: PatientBundle, other: PatientBundle) -> PatientBundle:
    """The resources of one person from two sources; who it is, is told by the first and completed by the second."""
    _refuse_contradiction(one, other)
    return replace(
        one,
        patient=complete(one.patient, [other.patient]),
        items=(*one.items, *other.items),
        linked={**one.linked, **other.linked},
        digests=tuple(sorted({*one.digests, *other.digests})),
        notes=(*one.notes, *other.notes),
    )


def _refuse_contradiction(one: PatientBundle, other: PatientBundle) -> None:
    """Raise DataError `mixed_patients` where two sources tell of different people."""
    sexes = {read_person(each, []).sex for each in (one, other)} - {None}
    text = "the data of one subject state different {}: correct one of them"
    if not is_same_birth(one.patient.birth_date, other.patient.birth_date):
        raise DataError("mixed_patients", text.format("dates of birth"))
    if len(sexes) > 1:
        raise DataError("mixed_patients", text.format("sexes"))
