"""What each version of HL7 v2 defines, asked of hl7apy: the versions there are and the fields that they require."""

from __future__ import annotations

from functools import lru_cache

import hl7apy
from hl7apy.exceptions import HL7apyException

VERSIONS = frozenset(hl7apy.SUPPORTED_LIBRARIES)
# For a message of no version that is known, such as one that could not be read.
FALLBACK_VERSION = "2.5.1"


@lru_cache(maxsize=4096)
def required_fields(segment: str, version: str) -> tuple[int, ...]:
    """The numbers of the fields that a segment must have; none for a segment that the version does not define."""
    return tuple(number for number, is_required in enumerate(_fields(segment, version), start=1) if is_required)


@lru_cache(maxsize=64)
def has_error_location(version: str) -> bool:
    """Whether ERR has a field of its own for location, code and severity (2.5 and later), or only the old first one."""
    return len(_fields("ERR", version)) > 1


@lru_cache(maxsize=4096)
def _fields(segment: str, version: str) -> tuple[bool, ...]:
    """Of each field of a segment, whether it is required."""
    known = version if version in VERSIONS else FALLBACK_VERSION
    try:
        definition = hl7apy.load_reference(segment, "Segment", known)
    except HL7apyException:
        return ()
    return tuple(least > 0 for _, _, (least, _), _ in definition[1])
