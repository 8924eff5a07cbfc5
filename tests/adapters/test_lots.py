"""Product lots: in a bundle, in a file, and never mixed with the patient's data or with another lot."""

from __future__ import annotations

from datetime import datetime

import pytest

from fhir_adapters.bundle import read_bundle
from fhir_adapters.product_lot import read_product_lot
from fhir_adapters.record_builder import build_record
from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.codes import CodeSystem
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement, PatientRecord
from mscprotocol.rulebook import compile_rulebook
from tests.adapters.fhir_made import NOON, SUBJECT, Json, as_bytes, bundle, observation, patient, quantity, record_of

SYSTEM = CodeSystem.DATUM.value
LOT = {"reference": "BiologicallyDerivedProduct/lot"}


def own(code: str, display: str | None = None) -> Json:
    return {"coding": [{"system": SYSTEM, "code": code} | ({} if display is None else {"display": display})]}


def product(number: str = "LOT-7", id_: str = "lot", **more: object) -> Json:
    return {"resourceType": "BiologicallyDerivedProduct", "id": id_, "identifier": [{"value": number}]} | more


def medication(number: str = "LOT-7", id_: str = "med", **batch: object) -> Json:
    return {"resourceType": "Medication", "id": id_, "batch": {"lotNumber": number} | batch}


def of_lot(code: str | Json, value: object = None, unit: str | None = None, **more: object) -> Json:
    """An observation of a lot: the patient is its subject, the product its focus."""
    about = {"focus": [LOT]} | more
    return observation(own(code) if isinstance(code, str) else code, value, unit, **about)


def order(medication_id: str, id_: str = "r", **more: object) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": id_,
        "status": "active",
        "intent": "order",
        "subject": SUBJECT,
        "medicationReference": {"reference": f"Medication/{medication_id}"},
    } | more


def told(record: PatientRecord, name: str) -> list[tuple[object, Reason | None]]:
    entries: tuple[Measurement, ...] = record.measurements.get(name, ())
    return [(entry.answer or (entry.value and entry.value.exact), entry.problem) for entry in entries]


def noted(record: PatientRecord) -> str:
    return "; ".join(f"{note.reference}: {note.text}" for note in record.notes)


# -- whose data it is --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "about",
    [
        {"focus": [LOT]},
        {"subject": LOT},
        {"subject": None, "focus": [LOT]},
        {"subject": LOT, "focus": [LOT]},
        {"specimen": LOT},
        {"specimen": {"reference": "Specimen/s"}},
        {"focus": [{"reference": "#p"}], "contained": [product(id_="p")]},
        {"focus": [{"reference": "Medication/med"}]},
        {"subject": {"reference": "Substance/sub"}},
        {"subject": {"reference": "Device/dev"}},
    ],
    ids=str,
)
def test_an_observation_may_name_its_lot_in_many_ways(about: Json) -> None:
    sample = {"resourceType": "Specimen", "id": "s", "subject": LOT}
    substance = {"resourceType": "Substance", "id": "sub", "instance": [{"identifier": {"value": "LOT-7"}}]}
    device = {"resourceType": "Device", "id": "dev", "lotNumber": "LOT-7"}
    record = record_of(
        product(), sample, medication(), substance, device, observation(own("product_viability"), 85, "%", **about)
    )
    assert told(record, "product_viability") == [(85, None)]


@pytest.mark.parametrize("about", [{"focus": [LOT]}, {"subject": LOT}, {"specimen": LOT}], ids=str)
def test_what_is_measured_of_a_lot_is_never_the_patients(about: Json) -> None:
    """A saturation, weight or platelet count on a product is nobody's: it says nothing of the patient."""
    record = record_of(
        product(),
        observation("loinc 59408-5", 91, "%", id="a", **about),
        observation("loinc 29463-7", 70, "kg", id="b", **about),
        observation("snomed 371907003", id="c", **about),
    )
    assert record.measurements == {}
    assert record.presences == {}
    assert "Observation/a: not a product datum: 59408-5" in noted(record)


@pytest.mark.parametrize("name", ["product_viability", "product_cd45", "product_endotoxin"])
def test_a_datum_of_a_product_without_its_lot_is_open(name: str) -> None:
    record = record_of(observation(own(name), 1, "%" if name != "product_endotoxin" else "[EU]/mL"))
    assert told(record, name) == [(None, Reason.QUALIFIER_MISSING)]


OTHER = {"reference": "Patient/other"}


@pytest.mark.parametrize(
    "about",
    [
        {"subject": OTHER, "focus": [LOT]},
        {"subject": OTHER, "specimen": LOT},
        {"subject": {"reference": "#x"}, "contained": [{"resourceType": "Patient", "id": "x"}], "focus": [LOT]},
        {"subject": {"reference": "urn:uuid:0"}, "focus": [LOT]},
        {"subject": {"reference": "Device/monitor"}, "focus": [LOT]},
        {"subject": {"reference": "Group/g"}, "focus": [LOT]},
    ],
    ids=str,
)
def test_a_lot_lets_no_other_patient_in(about: Json) -> None:
    monitor = {"resourceType": "Device", "id": "monitor", "type": {"text": "monitor"}}
    with pytest.raises(DataError) as raised:
        record_of(product(), monitor, observation("loinc 59408-5", 91, "%", **about))
    assert raised.value.code == "foreign_subject"


@pytest.mark.parametrize(
    "about",
    [
        {"subject": LOT, "focus": [OTHER]},
        {"focus": [LOT, OTHER]},
        {"focus": [LOT, SUBJECT]},
        {"focus": [LOT, {"reference": "BiologicallyDerivedProduct/second"}]},
        {"focus": [{"reference": "BiologicallyDerivedProduct/gone"}]},
        {"subject": {"reference": "Medication/gone"}},
        {"specimen": {"reference": "Specimen/theirs"}},
    ],
    ids=str,
)
def test_what_is_about_several_or_about_nothing_that_came_is_left_out(about: Json) -> None:
    theirs = {"resourceType": "Specimen", "id": "theirs", "subject": OTHER}
    record = record_of(
        product(), product("LOT-8", "second"), theirs, observation(own("product_viability"), 85, "%", **about)
    )
    assert record.measurements == {}
    assert "left out" in noted(record)


def test_a_lot_whose_versions_contradict_each_other_is_none() -> None:
    record = record_of(product("LOT-7"), product("LOT-8"), of_lot("product_viability", 85, "%"))
    assert record.measurements == {}
    assert "contradicts itself" in noted(record)


# -- what is read ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "value", "expected"),
    [
        ("product_viability", {"valueQuantity": quantity(0.85, "1")}, (85, None)),
        ("product_passage", {"valueInteger": 4}, (4, None)),
        ("product_endotoxin", {"valueQuantity": quantity(1, "EU/mL")}, (1, None)),
        ("product_state", {"valueCodeableConcept": own("fresh_culture")}, ("fresh_culture", None)),
        ("product_state", {"valueCodeableConcept": own("negative")}, (None, Reason.CODE_UNMAPPED)),
        ("product_state", {"valueString": "fresh_culture"}, (None, Reason.NEEDS_REVIEW)),
        ("product_gene_modified", {"valueBoolean": False}, ("no", None)),
        (
            "product_mycoplasma",
            {"valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "260385009"}]}},
            ("negative", None),
        ),
        (
            "product_gram",
            {"valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "260385009"}]}},
            (None, Reason.CODE_UNMAPPED),
        ),
        ("product_expiry", {"valueDateTime": "1970-01-01T01:00:00Z"}, (3600, None)),
        ("product_expiry", {"valueDateTime": "soon"}, (None, Reason.NEEDS_REVIEW)),
        ("product_expiry", {"valueString": "2020-10"}, (None, Reason.NEEDS_REVIEW)),
        ("product_viability", {"valueQuantity": quantity(85)}, (None, Reason.UNIT_UNKNOWN)),
        ("product_concentration", {"valueQuantity": quantity(10, "10*8{vesicles}/mL")}, (None, Reason.UNIT_UNKNOWN)),
        (
            "product_viability",
            {"valueQuantity": quantity(85, "%"), "status": "preliminary"},
            (None, Reason.STATUS_EXCLUDED),
        ),
    ],
    ids=str,
)
def test_a_datum_of_a_lot_is_read_as_the_dictionary_demands(
    code: str, value: Json, expected: tuple[object, object]
) -> None:
    record = record_of(product(), of_lot(code, **value))
    ((value_, problem),) = told(record, code)
    assert (value_, problem) == expected


def test_a_code_that_looks_like_a_datum_of_a_lot_is_reported_and_leaves_it_open() -> None:
    unknown = {"coding": [{"system": "http://lab.example", "code": "77", "display": "CD105+ cells"}]}
    record = record_of(product(), of_lot(unknown, 97, "%"))
    assert [(one.code.code, one.relevant) for one in record.unmapped] == [("77", ("product_cd105",))]
    findings = assess_(record).criteria
    assert next(one.reason for one in findings if one.id == "PRD-07") == "code_unmapped"


@pytest.mark.parametrize("code", [own("product_colour"), {"text": "Colour"}, {}], ids=str)
def test_what_is_not_in_the_dictionary_is_noted(code: Json) -> None:
    record = record_of(product(), of_lot(code, 1, "1"))
    assert "not a product datum" in noted(record)


def test_words_of_a_product_are_looked_for_on_products_only() -> None:
    cells = {"coding": [{"system": "http://lab.example", "code": "45", "display": "CD45 lymphocytes"}]}
    assert record_of(observation(cells, 40, "%")).unmapped == ()


def test_the_lot_of_a_medication_states_its_expiry() -> None:
    batch = medication(expirationDate="1970-01-01T01:00:00Z")
    focus = [{"reference": "Medication/med"}]
    record = record_of(batch, of_lot("product_viability", 85, "%", focus=focus))
    assert told(record, "product_expiry") == [(3600, None)]


def test_what_is_registered_twice_is_one_lot() -> None:
    batch = medication(expirationDate="1970-01-01T01:00:00Z")
    record = record_of(product(), batch, of_lot("product_viability", 85, "%"))
    assert told(record, "product_expiry") == [(3600, None)]
    assert told(record, "product_viability") == [(85, None)]


def test_a_product_without_a_number_is_one_by_all_its_names() -> None:
    nameless = {"resourceType": "BiologicallyDerivedProduct", "id": "lot", "productCode": own("msc")}
    data = [
        of_lot("product_cd105", 97, "%"),
        of_lot("product_cd90", 98, "%", id="o2", focus=[{"reference": "urn:uuid:1"}]),
    ]
    entries = [{"resource": one} for one in (patient(), *data)] + [{"fullUrl": "urn:uuid:1", "resource": nameless}]
    read = read_bundle(as_bytes({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    record = build_record(read, load_knowledge())
    assert told(record, "product_cd105") == [(97, None)]
    assert told(record, "product_cd90") == [(98, None)]


def test_a_medication_that_is_no_product_is_no_lot() -> None:
    paracetamol = medication("P-1", "tablet", expirationDate="2020-01-01")
    record = record_of(product(), paracetamol, order("tablet"), of_lot("product_viability", 85, "%"))
    assert told(record, "product_viability") == [(85, None)]
    assert "product_expiry" not in record.measurements


def test_the_code_of_a_product_states_its_type() -> None:
    exosomes = product(productCode=own("exosome"), meta={"lastUpdated": NOON})
    assert told(record_of(exosomes), "product_type") == [("exosome", None)]


@pytest.mark.parametrize("status", ["unavailable", "entered-in-error", "anything"])
def test_of_a_product_that_is_not_available_nothing_is_used(status: str) -> None:
    record = record_of(product(status=status), of_lot("product_viability", 85, "%"))
    assert told(record, "product_viability") == [(None, Reason.STATUS_EXCLUDED)]
    assert "not available" in noted(record)


def test_a_retracted_observation_of_a_lot_is_gone() -> None:
    record = record_of(product(), of_lot("product_viability", 85, "%", status="entered-in-error"))
    assert record.measurements == {}


# -- which lot ---------------------------------------------------------------------------------------

SECOND = {"focus": [{"reference": "BiologicallyDerivedProduct/second"}], "id": "o2"}


def two_lots(*more: Json) -> PatientRecord:
    return record_of(
        product(),
        product("LOT-8", "second"),
        of_lot("product_viability", 85, "%"),
        of_lot("product_viability", 60, "%", **SECOND),
        of_lot("product_cd105", 97, "%", id="o3"),
        *more,
    )


def test_of_two_lots_neither_is_used() -> None:
    record = two_lots()
    assert {told(record, name)[0] for name in record.measurements} == {(None, Reason.CONFLICT)}
    assert "one of several product lots" in noted(record)
    statuses = {one.id: (one.status, one.reason) for one in assess_(record).criteria}
    assert statuses["PRD-07"][0] == statuses["REL-01"][0] == "unknown"
    assert statuses["REL-01"] == ("unknown", "conflict")


def test_a_form_does_not_choose_between_two_lots() -> None:
    form = {
        "resourceType": "QuestionnaireResponse", "id": "q", "status": "completed", "subject": SUBJECT,
        "authored": NOON, "author": {"display": "Dr Example"},
        "item": [{"linkId": "product_viability", "answer": [{"valueQuantity": quantity(99, "%")}]}],
    }  # fmt: skip
    assert {problem for _, problem in told(two_lots(form), "product_viability")} == {Reason.CONFLICT}


@pytest.mark.parametrize(
    "naming",
    [
        [medication("LOT-8", "m8"), order("m8")],
        [order("none", medicationReference=None, supportingInformation=SECOND["focus"])],
    ],
    ids=["by the number of its medication", "by what the order rests on"],
)
def test_the_order_names_the_lot(naming: list[Json]) -> None:
    record = two_lots(*naming)
    assert told(record, "product_viability") == [(60, None)]
    assert "product_cd105" not in record.measurements
    assert "another product lot than the one ordered" in noted(record)


@pytest.mark.parametrize(
    "naming",
    [
        [medication("LOT-8", "m8"), order("m8", status="completed")],
        [medication("LOT-8", "m8"), order("m8", doNotPerform=True)],
        [medication("LOT-8", "m8"), order("m8", intent="proposal")],
        [medication("LOT-8", "m8"), order("m8"), medication("LOT-7", "m7"), order("m7", "r7")],
        [medication("LOT-9", "m9"), order("m9")],
    ],
    ids=["an old order", "a prohibition", "a proposal", "two orders", "an order for something else"],
)
def test_what_is_no_one_order_names_no_lot(naming: list[Json]) -> None:
    assert {problem for _, problem in told(two_lots(*naming), "product_viability")} == {Reason.CONFLICT}


def test_an_order_for_a_lot_without_data_leaves_the_other_lot_out() -> None:
    coded = medication("LOT-9", "m9") | {"code": own("msc")}
    record = record_of(product(), coded, order("m9"), of_lot("product_viability", 85, "%"))
    assert "product_viability" not in record.measurements
    assert "another product lot" in noted(record)


def test_two_bags_of_one_lot_are_one_where_the_lot_is_named_by_itself() -> None:
    bags = [product(id_=f"b{n}", identifier=[{"value": "LOT-7"}, {"value": f"BAG-{n}"}]) for n in (1, 2)]
    data = [
        of_lot("product_cd105", 97, "%", id=f"o{n}", focus=[{"reference": f"BiologicallyDerivedProduct/b{n}"}])
        for n in (1, 2)
    ]
    assert told(record_of(*bags, *data), "product_cd105")[0] == (None, Reason.CONFLICT)
    whole = of_lot("product_cd90", 97, "%", id="o9")
    assert told(record_of(*bags, *data, product(), whole), "product_cd105") == [(97, None)]


# -- a file ------------------------------------------------------------------------------------------

AT = "2020-04-06T11:00:00+00:00"
LOT_FILE = f"""
lot: LOT-7
at: {AT}
product_type: msc
product_source: umbilical_cord
product_passage: 4
product_state: cryopreserved_thawed_washed
product_thawed_at: 2020-04-06T11:50:00+00:00
product_expiry: 2020-10
product_viability: {{value: 85 %, at: "2020-04-06T11:30:00+00:00"}}
product_endotoxin: <0.5 EU/mL
product_cd105: ">95 %"
product_gene_modified: false
product_concentration: 10 10*6/mL
product_label_basis: total
product_karyotype: strange
product_dmso: some
product_bag_volume: 10 stone
"""


def in_file(text: str = LOT_FILE, *resources: Json) -> PatientRecord:
    knowledge = load_knowledge()
    lot = read_product_lot(text.encode(), "lot.yaml", knowledge)
    return build_record(lot.added_to(read_bundle(as_bytes(bundle(patient(), *resources)))), knowledge)


def as_resources() -> list[Json]:
    """The lot of the file as a site would send it."""

    def said(name: str, **value: object) -> Json:
        return of_lot(name, id=name, **({"effectiveDateTime": AT} | value))

    def coded(name: str, answer: str) -> Json:
        return said(name, valueCodeableConcept=own(answer))

    return [
        product(),
        coded("product_type", "msc"),
        coded("product_source", "umbilical_cord"),
        said("product_passage", valueInteger=4),
        coded("product_state", "cryopreserved_thawed_washed"),
        said("product_thawed_at", valueDateTime="2020-04-06T11:50:00+00:00"),
        said("product_expiry", valueDateTime="2020-10"),
        said("product_viability", valueQuantity=quantity(85, "%"), effectiveDateTime="2020-04-06T11:30:00Z"),
        said("product_endotoxin", valueQuantity=quantity(0.5, "[EU]/mL", comparator="<")),
        said("product_cd105", valueQuantity=quantity(95, "%", comparator=">")),
        said("product_gene_modified", valueBoolean=False),
        said("product_concentration", valueQuantity=quantity(10, "10*6/mL")),
        coded("product_label_basis", "total"),
        coded("product_karyotype", "strange"),
        said("product_dmso", valueString="some"),
        said("product_bag_volume", valueQuantity=quantity(10, "stone")),
    ]


def assess_(record: PatientRecord, knowledge: KnowledgeBase | None = None) -> Assessment:
    known = knowledge or load_knowledge()
    request = Request(at=datetime.fromisoformat("2020-04-06T12:00:00+00:00"), stage="infusion")
    return assess(record, compile_rulebook(known, "seed-covid-4x"), request)


def content(record: PatientRecord) -> object:
    return {
        name: [(one.value, one.answer, one.problem, one.time, one.native_unit) for one in entries]
        for name, entries in record.measurements.items()
    }


def test_a_file_says_what_a_bundle_says() -> None:
    by_file, by_bundle = in_file(), record_of(*as_resources())
    assert content(by_file) == content(by_bundle)
    one, other = assess_(by_file), assess_(by_bundle)
    assert one.trace_sha256 == other.trace_sha256
    assert [(c.id, c.status, c.reason) for c in one.criteria] == [(c.id, c.status, c.reason) for c in other.criteria]
    assert {c.status for c in one.criteria if c.role == "product"} == {"met", "unknown"}


def test_a_file_and_a_bundle_of_one_lot_are_read_together() -> None:
    record = in_file(
        "lot: LOT-7\nat: 2020-04-06T11:00:00Z\nproduct_cd90: 98 %", product(), of_lot("product_cd105", 97, "%")
    )
    assert told(record, "product_cd90") == [(98, None)]
    assert told(record, "product_cd105") == [(97, None)]


@pytest.mark.parametrize(
    "orders", [[], [medication("LOT-7", "m7"), order("m7")], [medication("LOT-8", "m8"), order("m8")]]
)
def test_a_file_of_another_lot_than_the_bundles_is_a_conflict(orders: list[Json]) -> None:
    other = "lot: LOT-8\nat: 2020-04-06T11:00:00Z\nproduct_cd90: 98 %"
    record = in_file(other, product(), of_lot("product_cd105", 97, "%"), *orders)
    if orders and orders[0]["id"] == "m8":
        # The order names the lot of the file: the other one is left out.
        assert told(record, "product_cd90") == [(98, None)]
        assert "product_cd105" not in record.measurements
    else:
        assert told(record, "product_cd90") == told(record, "product_cd105") == [(None, Reason.CONFLICT)]


def test_a_datum_that_ages_needs_a_time_of_its_own() -> None:
    record = in_file("lot: 7\nat: 2020-04-06T11:00:00Z\nproduct_viability: 85 %")
    (entry,) = record.measurements["product_viability"]
    assert entry.time is None
    assert next(one.reason for one in assess_(record).criteria if one.id == "REL-01") == "partial_date"


def test_a_key_of_a_file_that_is_no_datum_is_noted() -> None:
    assert "Lot/7: not a product datum: weight" in noted(in_file("lot: 7\nweight: 70 kg"))
    assert "weight" not in in_file("lot: 7\nweight: 70 kg").measurements


@pytest.mark.parametrize(
    "text", ["", "- 1", "product_cd90: 98 %", "lot:", "lot: 7\nat: noon", "lot: 7\nat: 2020-04-06", "\x00"]
)
def test_a_file_that_names_no_lot_or_no_time_is_refused(text: str) -> None:
    with pytest.raises(DataError) as raised:
        in_file(text)
    assert raised.value.code == "unreadable"
