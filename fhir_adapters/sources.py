"""The files of one patient in whatever format they are, by their content: FHIR JSON or HL7 v2."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from fhir_adapters.bundle import PatientBundle, read_bundle
from fhir_adapters.hl7v2_files import is_hl7v2
from fhir_adapters.hl7v2_patients import read_patient
from mscprotocol.errors import DataError


def read_files(contents: Sequence[bytes], zone: ZoneInfo | None = None) -> PatientBundle:
    """The one patient of some files. `zone` is where HL7 v2 times without one were written. Raises DataError."""
    kinds = {is_hl7v2(content) for content in contents}
    if len(kinds) > 1:
        raise DataError("unreadable", "FHIR and HL7 v2 files of one patient cannot be told to be of the same person")
    return read_patient(contents, zone) if True in kinds else read_bundle(list(contents))
