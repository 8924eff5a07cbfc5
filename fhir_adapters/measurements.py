"""Observations to measurements: by code, never by name; what cannot be used says why."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from fhir_adapters.bundle import Item
from fhir_adapters.dictionary import DRUG_SYSTEMS, codings, main_code, text_of, words_of
from fhir_adapters.draft import Draft, shorten
from fhir_adapters.links import find_specimen
from fhir_adapters.quantities import Reading, read_upper_limit
from fhir_adapters.resources import Observation, Valued
from fhir_adapters.times import parse_time, period_time
from fhir_adapters.values import has_value, read_answer, read_value, write_value
from mscprotocol.codes import Coding
from mscprotocol.data_dictionary import CodedDatum
from mscprotocol.data_dictionary import Measurement as Definition
from mscprotocol.interval import Interval
from mscprotocol.reasons import Reason, in_precedence
from mscprotocol.record import Measurement, Presence
from mscprotocol.timespan import TimeSpan
from mscprotocol.units import is_readable

_USABLE = ("final", "amended", "corrected")
_DROPPED = ("cancelled", "entered-in-error")


class _Observed(msgspec.Struct, frozen=True):
    """One value of an observation, with what its components share."""

    draft: Draft
    item: Item
    valued: Valued
    status: str | None
    time: TimeSpan | None
    specimen: frozenset[str]
    began: TimeSpan | None
    has_parts: bool

    @property
    def problem(self) -> Reason | None:
        """What the status says against the value."""
        return None if self.status in _USABLE else Reason.STATUS_EXCLUDED


def read_observation(draft: Draft, item: Item, observation: Observation) -> None:
    """Add what an observation and its components say."""
    if observation.status in _DROPPED:
        draft.note(item, f"the observation is {observation.status} and was left out")
        return
    if observation.status not in (*_USABLE, "preliminary", "registered", "unknown"):
        draft.note(item, "the observation has no status that FHIR knows")
    shared = _Observed(
        draft=draft,
        item=item,
        valued=observation,
        status=observation.status,
        time=_time(draft, item, observation),
        specimen=frozenset(code.code for code in codings(find_specimen(draft.bundle, observation))),
        began=None if observation.effective_period is None else parse_time(observation.effective_period.start),
        has_parts=bool(observation.component or observation.has_member),
    )
    for valued in (observation, *observation.component):
        _read_valued(replace(shared, valued=valued))


def _time(draft: Draft, item: Item, observation: Observation) -> TimeSpan | None:
    written = observation.effective_date_time or observation.effective_instant
    time = parse_time(written) if written else period_time(observation.effective_period)
    if time is None and (written or observation.effective_period):
        draft.note(item, "the time of the observation cannot be read")
    return time


def _read_valued(observed: _Observed) -> None:
    """Add what one value says, by every code that it carries."""
    found = codings(observed.valued.code)
    dictionary = observed.draft.dictionary
    data = _data(observed.draft, found)
    if observed.item.lot is not None:
        _read_of_lot(observed, data)
        return
    for name, (code, datum) in data.items():
        _add(observed, name, code, datum)
    refused = [(code, *one) for code in found for one in dictionary.refused.get((code.system, code.code), ())]
    for code, name, reason in refused:
        _refuse(observed, name, code, reason)
    levels = [(code, *one) for code in found for one in dictionary.levels.get((code.system, code.code), ())]
    for code, name, level in levels:
        _add_level(observed, name, code, level)
    if not (data or refused or levels):
        _read_unnamed(observed)


def _read_of_lot(observed: _Observed, data: dict[str, tuple[Coding, CodedDatum]]) -> None:
    """What is said of a lot is never the patient's: only data of a product are read, by our own codes."""
    mine = {name: one for name, one in data.items() if _is_of_product(observed, name)}
    for name, (code, datum) in mine.items():
        _add(observed, name, code, datum)
    if mine or (observed.has_parts and not has_value(observed.valued)):
        return
    draft, concept = observed.draft, observed.valued.code
    found = {name for word in words_of(concept) for name in draft.dictionary.words("product", word)}
    draft.report_unmapped(observed.item, main_code(concept), found)
    if not found:
        code = main_code(concept)
        draft.note(observed.item, f"not a product datum: {shorten(code.code or code.display)}")


def _is_of_product(observed: _Observed, name: str) -> bool:
    return observed.draft.knowledge.measurements[name].about == "product"


def _lot_problem(observed: _Observed, name: str) -> Reason | None:
    """A datum of a product on an observation that names no product: it could be any lot's."""
    return Reason.QUALIFIER_MISSING if observed.item.lot is None and _is_of_product(observed, name) else None


def _data(draft: Draft, found: tuple[Coding, ...]) -> dict[str, tuple[Coding, CodedDatum]]:
    """Each measurement that the codes carry, once, by the code that says least besides. Drugs are not measured."""
    best: dict[str, tuple[Coding, CodedDatum]] = {}
    for code in found:
        if code.system in DRUG_SYSTEMS:
            continue
        for name, datum in draft.dictionary.data.get((code.system, code.code), ()):
            if name not in best or (best[name][1].flag is not None and datum.flag is None):
                best[name] = (code, datum)
    return best


def _add(observed: _Observed, name: str, code: Coding, datum: CodedDatum) -> None:
    definition = observed.draft.knowledge.measurements[name]
    reading = read_value(observed.draft.knowledge, definition, observed.valued)
    assay, assay_problem = _assay(datum, reading)
    limit = _upper_limit(observed, definition, reading)
    problems = (reading.problem, assay_problem, _specimen_problem(observed, name), _lot_problem(observed, name))
    entry = Measurement(
        name=name,
        reference=observed.item.reference,
        time=observed.time,
        as_received=reading.as_received,
        code=code,
        problem=_first((*problems, observed.problem)),
        value=reading.value,
        answer=reading.answer,
        unit=definition.unit,
        native_unit=reading.native_unit,
        upper_limit=limit,
        upper_limit_source="report" if limit is not None else "",
        assay=assay,
        began=observed.began if definition.over_period else None,
        flags=frozenset() if datum.flag is None else frozenset((datum.flag,)),
    )
    observed.draft.measure(observed.item, entry)


def _first(problems: Iterable[Reason | None]) -> Reason | None:
    """The status decides first; plain absence only if nothing else is wrong."""
    found = in_precedence(problem for problem in problems if problem is not None)
    if Reason.STATUS_EXCLUDED in found:
        return Reason.STATUS_EXCLUDED
    return found[0] if found else None


def _specimen_problem(observed: _Observed, name: str) -> Reason | None:
    """A code beside the accepted one that is refused for the datum, or a specimen that it cannot come from."""
    for code in codings(observed.valued.code):
        for refused, reason in observed.draft.dictionary.refused.get((code.system, code.code), ()):
            if refused == name:
                return reason
    # By code alone: these are distinctive, and senders name their system in many ways.
    if observed.specimen & {one.code for one in observed.draft.knowledge.measurements[name].not_from}:
        return Reason.SPECIMEN_MISMATCH
    return None


def _assay(datum: CodedDatum, reading: Reading) -> tuple[str | None, Reason | None]:
    """What was weighed, by the code and by the unit; the two must not contradict each other."""
    by_unit = reading.assay
    if by_unit is None or datum.assay in (None, "unspecified", by_unit):
        return by_unit or datum.assay, None
    return None, Reason.CONFLICT


def _upper_limit(observed: _Observed, definition: Definition, reading: Reading) -> Interval | None:
    if not definition.upper_limit or not reading.native_unit:
        return None
    ranges = observed.valued.reference_range
    limit = read_upper_limit(observed.draft.knowledge, definition, ranges, reading.native_unit)
    if isinstance(limit, str):
        observed.draft.note(observed.item, f"{definition.text}: {limit}")
        return None
    bounds = definition.upper_limit_between
    if limit is not None and bounds is not None and not Interval(bounds.low, bounds.high).contains(limit):
        observed.draft.note(observed.item, f"{definition.text}: the stated upper limit cannot be one in its unit")
        return None
    return limit


def _refuse(observed: _Observed, name: str, code: Coding, reason: Reason) -> None:
    """A look-alike is named only where nothing else tells of the datum."""
    entry = Measurement(
        name=name,
        reference=observed.item.reference,
        time=observed.time,
        as_received=write_value(observed.valued),
        code=code,
        problem=reason,
        unit=observed.draft.knowledge.measurements[name].unit,
    )
    observed.draft.refuse(observed.item, entry)


def _add_level(observed: _Observed, name: str, code: Coding, level: str) -> None:
    """A code that is itself a level of an ordered state, charted as a finding."""
    definition = observed.draft.knowledge.measurements[name]
    valued = observed.valued
    reading = read_answer(definition, level, write_value(valued) or text_of(valued.code))
    entry = Measurement(
        name=name,
        reference=observed.item.reference,
        time=observed.time,
        as_received=reading.as_received,
        code=code,
        problem=_first((_level_problem(valued), observed.problem)),
        value=reading.value,
        answer=level,
        unit=definition.unit,
    )
    observed.draft.measure(observed.item, entry)


def _level_problem(valued: Valued) -> Reason | None:
    """A finding without a value, true, or with a flow above zero is there; any other value is for a person."""
    if valued.data_absent_reason is not None:
        return Reason.MISSING
    flow = valued.value_quantity.value if valued.value_quantity else None
    if not has_value(valued) or valued.value_boolean is True or (flow is not None and is_readable(flow) and flow > 0):
        return None
    return Reason.NEEDS_REVIEW


# -- codes that are not in the dictionary of measurements ------------------------------------------


def _read_unnamed(observed: _Observed) -> None:
    valued = observed.valued
    observed.draft.note_unknown_names(observed.item, valued.code)
    is_panel = observed.has_parts and not has_value(valued) and valued.data_absent_reason is None
    if observed.problem is not None or is_panel or _state_findings(observed):
        return
    found = {name for word in words_of(valued.code) for name in observed.draft.dictionary.words("observation", word)}
    observed.draft.report_unmapped(observed.item, main_code(valued.code), found)


def _state_findings(observed: _Observed) -> bool:
    """A disease charted as an observation may be there or be denied: a person decides."""
    valued = observed.valued
    found = [
        Presence(
            name=meaning.name,
            reference=observed.item.reference,
            time=observed.time,
            as_received=f"{text_of(valued.code)}: {write_value(valued)}",
            code=code,
            problem=Reason.NEEDS_REVIEW,
        )
        for code in (*codings(valued.code), *codings(valued.value_codeable_concept))
        for meaning in observed.draft.dictionary.meanings(code.system, code.code)
        if meaning.relation != "excepted"
    ]
    for presence in found:
        observed.draft.state(observed.item, presence)
    return bool(found)
