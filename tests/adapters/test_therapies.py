"""Cells that were given: counted by code or lot, kept open by words, never taken for none."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_adapters.bundle import read_bundle
from fhir_adapters.record_builder import build_record
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.errors import KnowledgeError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.reasons import Reason
from mscprotocol.record import PatientRecord
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.truth import Truth
from tests.adapters.fhir_made import NOON, SUBJECT, Json, as_bytes, bundle, patient, record_of
from tests.adapters.test_lots import medication, of_lot, own, product
from tests.patients import PatientBundle, ready_for_infusion

BATCH = {"medicationReference": {"reference": "Medication/med"}}
PRIOR = "prior_msc_therapy"


def words(text: str) -> Json:
    return {"medicationCodeableConcept": {"text": text}}


def given(said: Json, **more: object) -> Json:
    made: Json = {"resourceType": "MedicationAdministration", "id": "m", "status": "completed", "subject": SUBJECT}
    return made | {"effectiveDateTime": NOON} | said | more


def done(text: str, **more: object) -> Json:
    made: Json = {"resourceType": "Procedure", "id": "m", "status": "completed", "subject": SUBJECT}
    return made | {"performedDateTime": NOON, "code": {"text": text}} | more


def at_the_bedside(*acts: Json) -> PatientRecord:
    """A record with a lot at the bedside, its batch as a medication, and some acts."""
    return record_of(product(), of_lot("product_type"), medication(), *acts)


@pytest.mark.parametrize(
    "act",
    [
        given(BATCH),
        given({"medicationReference": {"reference": "#b"}}, contained=[medication(id_="b")]),
        given(words("cells"), supportingInformation=[{"reference": "BiologicallyDerivedProduct/lot"}]),
        given(BATCH, status="in-progress"),
        given({"medicationCodeableConcept": own("infusion")}),
        done("Administration of cells", usedReference=[{"reference": "Medication/med"}]),
    ],
)
def test_what_was_given_of_the_lot_is_an_infusion(act: Json) -> None:
    record = at_the_bedside(act)
    assert [one.reference for one in record.infusions] == [f"{act['resourceType']}/m"]
    assert PRIOR not in record.presences


def test_a_batch_of_another_number_is_no_infusion_of_the_lot() -> None:
    record = at_the_bedside(
        medication("LOT-9", "other"), given({"medicationReference": {"reference": "Medication/other"}})
    )
    assert record.infusions == ()


@pytest.mark.parametrize(
    "act",
    [
        given(words("UC-MSC 1x10^6/kg")),
        given(words("MSCs")),
        given(words("mesenchymal stromal cells")),
        given(words("cells of lot LOT-7")),
        given({"medicationCodeableConcept": own("msc")}),
        given(BATCH, status="on-hold"),
        given(BATCH, status="unknown"),
        done("Infusion of mesenchymal stem cells"),
        done("Stem cell infusion"),
        done("infusion of allogeneic stem cells"),
    ],
)
def test_what_may_have_been_such_cells_keeps_the_history_open(act: Json) -> None:
    record = at_the_bedside(act)
    assert record.infusions == ()
    (entry,) = record.presences[PRIOR]
    assert (entry.present, entry.problem, entry.charted) == (Truth.UNKNOWN, Reason.QUALIFIER_MISSING, True)


@pytest.mark.parametrize(
    "act",
    [
        given(words("heparin")),
        given(words("cells of lot LOT-77")),
        given(words("UC-MSC"), status="not-done"),
        done("Infusion of mesenchymal stem cells", status="preparation"),
        done("Haematopoietic stem cell transplant"),
        done("Msconnect adapter fitted"),
    ],
)
def test_what_was_not_done_or_is_something_else_says_nothing(act: Json) -> None:
    record = at_the_bedside(act)
    assert (record.infusions, PRIOR in record.presences) == ((), False)


def test_an_order_is_no_act() -> None:
    order = given(words("UC-MSC")) | {"resourceType": "MedicationRequest", "status": "active", "intent": "order"}
    record = at_the_bedside(order)
    assert PRIOR not in record.presences
    assert [one.relevant for one in record.unmapped] == [(PRIOR,)]


# -- what follows for a course ---------------------------------------------------------------------


SITE = """
product_codes:
  seed-covid-4x: [local CELLS-1]
  start-phase2a: [local CELLS-2]
pt_limit: {code: loinc 5902-2, upper: 13 s, laboratory: x, since: 2019-01-01}
"""


@pytest.fixture
def of_site(tmp_path: Path) -> KnowledgeBase:
    path = tmp_path / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    return load_knowledge(site=path)


def outcome(
    one: PatientBundle, knowledge: KnowledgeBase, protocol: str = "seed-covid-4x"
) -> tuple[int, str, str | None]:
    """The infusion that the gate is about, its decision, and why the history is open."""
    record = build_record(read_bundle([one.to_json()]), knowledge)
    found = assess(record, compile_rulebook(knowledge, protocol), Request(one.at, "infusion"))
    assert found.gate is not None
    history = next(each for each in found.criteria if each.id == "SCH-01")
    return found.gate.infusion, found.gate.decision, history.reason or history.status


def charted(code: str, **when: object) -> PatientBundle:
    one = ready_for_infusion("p")
    one.add(
        {
            "resourceType": "MedicationAdministration",
            "status": "completed",
            "medicationCodeableConcept": {"coding": [{"system": "http://hospital.example/codes", "code": code}]},
            **(when or {"effectiveDateTime": one.when(72)}),
        }
    )
    return one


def test_a_site_names_the_codes_of_its_products(of_site: KnowledgeBase) -> None:
    assert len(of_site.site_limits) == 1
    assert outcome(charted("CELLS-1"), of_site)[0] == 2
    assert outcome(charted("CELLS-3"), of_site)[0] == 1
    assert of_site.sha256 != load_knowledge().sha256


def test_the_product_of_another_protocol_is_earlier_therapy(of_site: KnowledgeBase) -> None:
    """Denied at the bedside, charted in the record: a contradiction."""
    assert outcome(charted("CELLS-2"), of_site) == (1, "hold", "conflict")


@pytest.mark.parametrize("when", [{"effectiveDateTime": None}, {"effectiveDateTime": "2020-04-03"}])
def test_an_infusion_of_unclear_time_holds_the_gate(of_site: KnowledgeBase, when: Json) -> None:
    """66 h are not reckoned from a day, and one without a date is not none."""
    one = charted("CELLS-1", **when)
    assert outcome(one, of_site)[1:] == ("hold", "conflict")


def test_a_site_names_only_protocols_that_are_assessed(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("product_codes: {multistem: [local X]}\n", encoding="utf-8")
    with pytest.raises(KnowledgeError, match="multistem"):
        load_knowledge(site=path)


def test_a_lot_of_a_file_is_known_by_its_number(knowledge: KnowledgeBase) -> None:
    from fhir_adapters.product_lot import read_product_lot

    content = as_bytes(bundle(patient(), medication(), given(BATCH)))
    lot = read_product_lot(b"lot: LOT-7\nproduct_type: msc\n", "lot.yaml", knowledge)
    record = build_record(lot.added_to(read_bundle(content)), knowledge)
    assert len(record.infusions) == 1
