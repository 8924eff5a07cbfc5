"""Whether a code can be one of its system: check digits of LOINC and SNOMED CT, and the shape of the others.

Sources: LOINC check digit (Mod 10), LOINC Users' Guide, appendix C; SNOMED CT identifiers (Verhoeff), release file
specification, chapter 6; both as recalled, and confirmed on the codes of the dictionary whose displays were read.
"""

from __future__ import annotations

import re

from mscprotocol.codes import CodeSystem, Coding

_SHAPES = {
    CodeSystem.ICD10: re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?"),
    CodeSystem.ATC: re.compile(r"[A-Z]([0-9]{2}([A-Z]([A-Z]([0-9]{2})?)?)?)?"),
    CodeSystem.RXNORM: re.compile(r"[1-9][0-9]{0,7}"),
    CodeSystem.UNII: re.compile(r"[0-9A-Z]{10}"),
}
_ICD10_RANGE = re.compile(r"([A-Z][0-9][0-9A-Z])-([A-Z][0-9][0-9A-Z])")
_LOINC = re.compile(r"([0-9]{1,7})-([0-9])")
_LOINC_ANSWER = re.compile(r"L[AL][0-9]{1,7}-[0-9]")

# Multiplication in the dihedral group of order 10, and the permutation that Verhoeff applies at each place.
_TIMES = tuple(
    tuple((i + j) % 5 + (0 if j < 5 else 5) if i < 5 else (i - j) % 5 + (5 if j < 5 else 0) for j in range(10))
    for i in range(10)
)
_SHIFT = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def find_fault(coding: Coding) -> str | None:
    """What is wrong with a code, or None."""
    code = coding.code
    if coding.system is CodeSystem.LOINC:
        match = _LOINC.fullmatch(code)
        if match is None:
            return None if _LOINC_ANSWER.fullmatch(code) else "is not shaped like a LOINC code"
        return None if loinc_digit(match[1]) == int(match[2]) else "has a wrong LOINC check digit"
    if coding.system is CodeSystem.SNOMED:
        is_right = re.fullmatch(r"[1-9][0-9]{5,17}", code) is not None and is_verhoeff(code)
        return None if is_right else "has a wrong SNOMED CT check digit"
    shape = _SHAPES.get(coding.system)
    return None if shape is None or shape.fullmatch(code) else f"is not shaped like a code of {coding.system.name}"


def find_category_fault(category: str) -> str | None:
    """What is wrong with an ICD-10 category, subcategory or range, or None."""
    match = _ICD10_RANGE.fullmatch(category)
    if match is not None:
        return None if match[1] < match[2] else "is a range that ends before it begins"
    return find_fault(Coding(CodeSystem.ICD10, category))


def loinc_digit(number: str) -> int:
    """The check digit of a LOINC number: every other digit from the right counts twice."""
    doubled = "".join(str(int(digit) * (2 if place % 2 == 0 else 1)) for place, digit in enumerate(reversed(number)))
    return -sum(map(int, doubled)) % 10


def is_verhoeff(number: str) -> bool:
    """Whether the last digit of a number is its Verhoeff check digit."""
    check = 0
    for place, digit in enumerate(reversed(number)):
        permuted = int(digit)
        for _ in range(place % 8):
            permuted = _SHIFT[permuted]
        check = _TIMES[check][permuted]
    return check == 0
