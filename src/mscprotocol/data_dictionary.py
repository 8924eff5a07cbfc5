"""Strict models of the data dictionary: measurements and conditions with their codes, units and shelf lives."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, RootModel, model_validator

from mscprotocol.codes import Coding, parse_code
from mscprotocol.knowledge_forms import Lookback, Mark, Names, SourceRef, Sources, Strict, WithUnit, as_tuple
from mscprotocol.reasons import Reason


def _parse_code(text: object) -> object:
    return parse_code(text) if isinstance(text, str) else text


def _parse_decimal(text: object) -> object:
    return Decimal(text) if isinstance(text, str | int) else text


Code = Annotated[Coding, BeforeValidator(_parse_code)]
Number = Annotated[Decimal, BeforeValidator(_parse_decimal)]


def expand_codes(raw: object) -> object:
    """Let YAML write `loinc 777-3` where the model has a code with its flags, and lists as tuples."""
    if not isinstance(raw, dict):
        return raw
    full = dict(raw)
    for key in ("codes", "refused"):
        if isinstance(full.get(key), list):
            full[key] = tuple({"code": item} if isinstance(item, str) else item for item in full[key])
    for key in ("suspected", "refuted_by", "levels", "product_codes", "inferred", "tests", "not_from"):
        if isinstance(full.get(key), list):
            full[key] = tuple(full[key])
    if isinstance(full.get("answers"), dict):
        full["answers"] = {name: tuple(codes) for name, codes in full["answers"].items()}
    return full


class SiteLimit(Strict):
    """An upper limit of normal that a site states for reports that carry none; dates are inclusive."""

    code: Code
    upper: WithUnit
    laboratory: str
    since: str
    until: str | None = None


class SiteProducts(RootModel[dict[str, Annotated[tuple[Code, ...], BeforeValidator(as_tuple)]]]):
    """The codes by which a site charts the product of each protocol."""

    model_config = ConfigDict(strict=True, frozen=True)


class Conversion(Strict):
    """From an accepted unit to the canonical one: (value - offset) x numerator / denominator."""

    factor: Number = Decimal(1)
    divisor: Number = Decimal(1)
    offset: Number = Decimal(0)


class CodedDatum(Strict):
    """A code that carries a datum, with what the code itself says about it; `under` names what it is a kind of."""

    code: Code
    flag: str | None = None
    assay: str | None = None
    under: Annotated[tuple[Code, ...], BeforeValidator(as_tuple)] = ()


class RefusedCode(Strict):
    """A look-alike code that must not be read as the datum, and the reason that is given instead."""

    code: Code
    reason: Annotated[Reason, BeforeValidator(lambda text: Reason(text) if isinstance(text, str) else text)]


class Limits(Strict):
    """A closed range in the canonical unit; values outside are refused (hard) or noted (soft)."""

    low: Number
    high: Number


class ShelfLife(Strict):
    """How old a value may be at each stage."""

    screening: Lookback | None = None
    infusion: Lookback | None = None


class Inference(Strict):
    """What another datum tells about an ordered state: the lowest and highest level that it leaves open."""

    measurement: str | None = None
    above: WithUnit | None = None
    up_to: WithUnit | None = None
    condition: str | None = None
    lowest: str
    highest: str


class Measurement(Strict):
    """A datum of the dictionary: a quantity, an ordered state, a set of answers, or an instant on the time axis.

    `sources` state its parameters; `mark` tells of its other numbers. `kept_for` says why it is here if no rule asks.
    `not_from` are specimens that it cannot come from; `notes` are printed with a value that carries the flag.
    `stands_for` maps limits of SpO2/FiO2 to those of PaO2/FiO2; the limit itself belongs to the band `limit_belongs`.
    """

    id: str
    text: str
    kind: Literal["quantity", "ordinal", "coded", "time", "derived"]
    about: Literal["patient", "product"] = "patient"
    unit: str = "1"
    units: dict[str, Conversion] = {}
    codes: tuple[CodedDatum, ...] = ()
    refused: tuple[RefusedCode, ...] = ()
    words: Names = ()
    answers: dict[str, tuple[Code, ...]] = {}
    levels: tuple[str, ...] = ()
    inferred: tuple[Inference, ...] = ()
    made_of: Names = ()
    pairing: Lookback | None = None
    parameters: dict[str, Number] = {}
    hard: Limits | None = None
    soft: Limits | None = None
    resolution: Number = Decimal(1)
    max_age: ShelfLife = ShelfLife()
    select: Literal["latest", "any"] = "latest"
    upper_limit: bool = False
    upper_limit_between: Limits | None = None
    unitless_ranges: dict[str, Limits] = {}
    confounded_by: str | None = None
    not_from: tuple[Code, ...] = ()
    over_period: bool = False
    stands_for: dict[str, Number] = {}
    limit_belongs: Literal["below", "above"] = "below"
    notes: dict[str, str] = {}
    bedside: bool = False
    order: Code | None = None
    kept_for: str | None = None
    sources: Sources = ()
    mark: Mark = "site"

    @model_validator(mode="before")
    @classmethod
    def _lists_as_tuples(cls, raw: object) -> object:
        return expand_codes(raw)


class Test(Strict):
    """A measurement whose answers, or whose value above a limit (up to one), speak for (against) a condition."""

    measurement: str
    positive: Names = ()
    negative: Names = ()
    above: WithUnit | None = None
    denied_up_to: WithUnit | None = None
    source: SourceRef | None = None

    @model_validator(mode="after")
    def _speaks_for_or_against(self) -> Test:
        if both := set(self.positive) & set(self.negative):
            raise ValueError(f"a test speaks for or against a condition, not both: {', '.join(sorted(both))}")
        if self.above is not None and self.denied_up_to is not None:
            if self.denied_up_to.unit != self.above.unit:
                raise ValueError("above and denied_up_to are stated in one unit")
            if self.denied_up_to.value > self.above.value:
                raise ValueError("a value above the limit speaks for the condition; denied_up_to may not lie higher")
        return self


class Condition(Strict):
    """Something that is present or absent, with the explicit expansion of its value set.

    A record of it contradicts a denial of what it `requires`, and of being there what it is `denied_by`.
    """

    text: str
    kind: Literal["condition", "procedure", "medication", "therapy", "allergy", "event", "consent", "attestation"]
    codes: tuple[CodedDatum, ...] = ()
    icd10: Names = ()
    icd10_except: Names = ()
    suspected: tuple[Code, ...] = ()
    parts: Names = ()
    denied_by: Names = ()
    requires: Names = ()
    tests: tuple[Test, ...] = ()
    refuted_by: tuple[Code, ...] = ()
    words: Names = ()
    attested_for: Lookback | None = None
    acts_for: Lookback | None = None
    attestable: bool = True
    kept_for: str | None = None
    mark: Mark = "recalled"

    @model_validator(mode="before")
    @classmethod
    def _lists_as_tuples(cls, raw: object) -> object:
        return expand_codes(raw)
