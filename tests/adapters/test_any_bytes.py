"""Whatever the bytes, nothing but a DataError escapes."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_adapters.bundle import read_bundle
from fhir_adapters.record_builder import build_record
from fhir_adapters.resources import CLINICAL, LINKED
from mscprotocol.errors import DataError
from mscprotocol.knowledge_loader import load_knowledge
from tests.adapters.fhir_made import (
    NOON,
    SUBJECT,
    Json,
    administration,
    allergy,
    answered,
    as_bytes,
    bundle,
    concept,
    condition,
    form,
    observation,
    patient,
    procedure,
    quantity,
)

WHOLE = bundle(
    patient(
        birthDate="1961",
        gender="male",
        name=[{"family": "A", "given": ["B"]}],
        identifier=[{"system": "s", "value": "v"}],
    ),
    observation("loinc 48065-7", 1.5, "mg/L{FEU}", referenceRange=[{"text": "0-0.5"}, {"high": quantity(0.5, "mg/L")}]),
    observation(
        "loinc 85354-9", id="b", component=[{"code": concept("loinc 8480-6"), "valueQuantity": quantity(120, "mm[Hg]")}]
    ),
    observation("loinc 94500-6", id="t", valueCodeableConcept=concept("snomed 260373001")),
    observation("loinc 1988-5", id="r", valueRange={"low": quantity(1, "mg/L"), "high": quantity(2, "mg/L")}),
    observation("loinc 3150-0", 0.4, id="f", effectivePeriod={"start": NOON, "end": NOON}),
    observation("loinc 29463-7", 80, "kg", id="w", specimen={"reference": "Specimen/s"}),
    condition("icd10 I26.9", onsetDateTime="2020-03", abatementPeriod={"start": NOON}),
    allergy("snomed 716186003", reaction=[{"severity": "severe", "manifestation": [concept("snomed 39579001")]}]),
    procedure("snomed 40617009", "in-progress", performedPeriod={"start": NOON}),
    administration(
        "rxnorm 7512", dosage={"rateRatio": {"numerator": quantity(8, "ug"), "denominator": quantity(1, "min")}}
    ),
    administration("rxnorm 7512", id="m2", dosage={"rateQuantity": quantity(8, "ug/min")}),
    form(answered("moribund", valueBoolean=True), answered("fio2", valueDecimal=0.5), {"linkId": "g", "item": []}),
    {"resourceType": "Consent", "id": "k", "status": "active", "patient": SUBJECT, "scope": concept("local research")},
    {
        "resourceType": "ResearchSubject",
        "id": "s",
        "status": "on-study",
        "individual": SUBJECT,
        "period": {"start": NOON},
    },
    {"resourceType": "Specimen", "id": "s", "type": concept("snomed 122555007")},
    link=[{"relation": "self", "url": "/1"}],
)
STRANGE: list[Any] = [
    None,
    True,
    0,
    -1,
    10**400,
    1.5,
    "",
    "x" * 400,
    "2020-13-45",
    "#",
    [],
    {},
    [[]],
    [None],
    {"a": None},
]
STRANGE += [
    "\u0000",
    "\ud83d\ude00",
    "Patient/p",
    "NaN",
    "1e5",
    {"value": "1"},
    {"coding": [{}]},
    ["a"],
    {"reference": "#"},
]


def attempt(content: bytes) -> None:
    try:
        build_record(read_bundle(content), load_knowledge())
    except DataError as error:
        assert error.code


def places(tree: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    pairs = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, value in pairs:
        found.append((tree, key))
        places(value, found)
    return found


def test_the_whole_bundle_is_read() -> None:
    record = build_record(read_bundle(as_bytes(WHOLE)), load_knowledge())
    assert len(record.source_digests) == len(WHOLE["entry"])
    assert {"d_dimer", "systolic_bp", "sars_cov_2_test", "crp", "fio2", "weight"} <= set(record.measurements)


def test_every_place_of_a_bundle_may_hold_anything() -> None:
    for index in range(len(places(WHOLE, []))):
        # A quarter of what is strange in each place, another in the next.
        for strange in STRANGE[index % 4 :: 4]:
            made = copy.deepcopy(WHOLE)
            holder, key = places(made, [])[index]
            holder[key] = strange
            attempt(as_bytes(made))


def test_every_place_of_a_bundle_may_be_missing_or_twice() -> None:
    for index in range(len(places(WHOLE, []))):
        for is_twice in (False, True):
            made = copy.deepcopy(WHOLE)
            holder, key = places(made, [])[index]
            if not is_twice:
                del holder[key]
            elif isinstance(holder, list):
                holder.append(holder[key])
            attempt(as_bytes(made))


@pytest.mark.parametrize("seed", range(4))
def test_bytes_may_be_changed_anywhere(seed: int) -> None:
    chance = random.Random(seed)
    content = as_bytes(WHOLE)
    for _ in range(250):
        made = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            made[chance.randrange(len(made))] = chance.randrange(256)
        attempt(bytes(made))


@pytest.mark.parametrize("share", range(0, 100, 3))
def test_a_bundle_may_end_anywhere(share: int) -> None:
    content = as_bytes(WHOLE)
    attempt(content[: len(content) * share // 100])


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
fields = sorted({field for kind in (*CLINICAL.values(), *LINKED.values()) for field in kind.__struct_encode_fields__})


@st.composite
def resources(draw: st.DrawFn) -> Json:
    made = draw(st.dictionaries(st.sampled_from(fields), trees | st.just(SUBJECT) | st.just(concept("loinc 1988-5"))))
    return made | {"resourceType": draw(st.sampled_from([*CLINICAL, *LINKED, "Patient", "Bundle"])), "subject": SUBJECT}


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(resources(), max_size=4))
def test_resources_may_hold_any_json(made: list[Json]) -> None:
    attempt(as_bytes(bundle(patient(), *made)))


@settings(max_examples=200)
@given(st.binary(max_size=200) | trees.map(as_bytes))
def test_a_file_may_hold_anything(content: bytes) -> None:
    attempt(content)


@pytest.mark.parametrize(
    "number",
    [b"1e400", b"-1e400", b"1e-400", b"1e999999999999999999999", b"9" * 5000, b"0." + b"1" * 5000, b"-0", b"1E+2"],
)
def test_numbers_may_be_of_any_size(number: bytes) -> None:
    content = as_bytes(bundle(patient(), observation("loinc 1988-5", 4711, "mg/L", note=4711)))
    attempt(content.replace(b"4711", number))


@pytest.mark.parametrize("depth", [50, 500, 5000, 50_000])
def test_forms_and_json_may_be_nested_deeply(depth: int) -> None:
    deep = b'{"linkId":"a","item":[' * depth + b"]}" * depth
    content = as_bytes(bundle(patient(), form(answered("here", valueBoolean=True))))
    attempt(content.replace(b'{"linkId": "here"', deep + b',{"linkId": "here"'))


def test_the_order_of_entries_never_matters() -> None:
    expected = build_record(read_bundle(as_bytes(WHOLE)), load_knowledge())
    for seed in range(5):
        entries = random.Random(seed).sample(WHOLE["entry"], len(WHOLE["entry"]))
        assert build_record(read_bundle(as_bytes(WHOLE | {"entry": entries})), load_knowledge()) == expected


def test_errors_and_notes_show_no_data() -> None:
    secret = "Geheimnis"
    made = bundle(patient(birthDate=secret), observation("loinc 1988-5", secret, secret, effectiveDateTime=secret))
    record = build_record(read_bundle(as_bytes(made)), load_knowledge())
    assert record.notes
    assert not any(secret in note.text for note in record.notes)
    with pytest.raises(DataError) as caught:
        read_bundle(as_bytes(bundle(patient(), observation("loinc 1988-5", subject={"display": secret}))))
    assert secret not in str(caught.value)
