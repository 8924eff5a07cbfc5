"""The FHIR R4 data types and packaging that are read: unknown fields are ignored, numbers are exact decimals."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Raw

# A number with more digits or a larger exponent than this is kept from the arithmetic of decimals altogether.
_LONGEST_NUMBER = 400


class Number(Decimal):
    """A JSON number, exactly as written; a string that looks like one is refused."""


class Element(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """What every struct shares: FHIR's own names on the wire, values that never change."""


# -- data types ------------------------------------------------------------------------------------


class Coding(Element, frozen=True):
    """A code of one system."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


class CodeableConcept(Element, frozen=True):
    """A concept: codes that mean the same, and the words that were used."""

    coding: tuple[Coding, ...] = ()
    text: str | None = None


class Identifier(Element, frozen=True):
    """A business identifier."""

    system: str | None = None
    value: str | None = None


class Reference(Element, frozen=True):
    """A reference to another resource: literal, logical, or by words only."""

    reference: str | None = None
    type: str | None = None
    identifier: Identifier | None = None
    display: str | None = None


class Quantity(Element, frozen=True):
    """A number with its unit."""

    value: Number | None = None
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Range(Element, frozen=True):
    """Two quantities, either of which may be open."""

    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Element, frozen=True):
    """One quantity over another."""

    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Period(Element, frozen=True):
    """A start and an end, either of which may be open."""

    start: str | None = None
    end: str | None = None


class Meta(Element, frozen=True):
    """The version of a resource, and by tags whether it is whole."""

    version_id: str | None = None
    last_updated: str | None = None
    tag: tuple[Coding, ...] = ()
    security: tuple[Coding, ...] = ()


class Extension(Element, frozen=True):
    """An extension, as far as a code may be in it."""

    url: str | None = None
    extension: tuple[Extension, ...] = ()
    value_code: str | None = None
    value_coding: Coding | None = None
    value_codeable_concept: CodeableConcept | None = None


# -- packaging --------------------------------------------------------------------------------------


class Link(Element, frozen=True):
    """A link of a page."""

    relation: str | None = None
    url: str | None = None


class Request(Element, frozen=True):
    """What an entry of a transaction asks for."""

    method: str | None = None
    url: str | None = None


class Response(Element, frozen=True):
    """How an entry of a batch was answered."""

    status: str | None = None
    outcome: Raw = Raw()


class Search(Element, frozen=True):
    """Why an entry is on a page of results."""

    mode: str | None = None


class Entry(Element, frozen=True):
    """One entry of a bundle, its resource not yet read."""

    full_url: str | None = None
    resource: Raw = Raw()
    request: Request | None = None
    response: Response | None = None
    search: Search | None = None


class Bundle(Element, frozen=True):
    """A bundle, its entries not yet read."""

    resource_type: str | None = None
    type: str | None = None
    total: int | None = None
    link: tuple[Link, ...] = ()
    entry: tuple[Raw, ...] = ()


class Issue(Element, frozen=True):
    """One issue of an outcome."""

    severity: str | None = None
    code: str | None = None


class OperationOutcome(Element, frozen=True):
    """What went wrong on the way."""

    issue: tuple[Issue, ...] = ()


class Head(Element, frozen=True):
    """What tells which struct a resource fits."""

    resource_type: str | None = None
    id: str | None = None


def exact_number(kind: type, value: object) -> Number:
    """The decode hook of `Number`: integers and decimals, nothing that merely looks like one."""
    if kind is not Number or not isinstance(value, int | Decimal) or isinstance(value, bool):
        raise TypeError("not a number")
    return Number(value)


def parse_decimal(text: str) -> Decimal:
    """The float hook: an exact decimal, or NaN for a number that no decimal can hold."""
    if len(text) > _LONGEST_NUMBER:
        return Decimal("NaN")
    try:
        return Decimal(text)
    except ArithmeticError:
        return Decimal("NaN")
