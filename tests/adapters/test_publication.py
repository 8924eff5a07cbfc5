"""The rule base as FHIR: every protocol valid, complete and marked; a response to its form is read as it was meant."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_adapters.bundle import read_bundle
from fhir_adapters.publication import assessed, published, write_library, write_module, write_plan_definition
from fhir_adapters.questionnaires import write_questionnaire
from fhir_adapters.record_builder import build_record
from fhir_adapters.requirements import requirements
from fhir_adapters.writing import encode
from mscprotocol.assessment import assess
from mscprotocol.case import GATING
from mscprotocol.errors import RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.record import PatientRecord
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.sample_cases import find_samples
from mscprotocol.truth import Truth
from tests.adapters import fhir_models
from tests.adapters.fhir_made import answered, as_bytes, bundle, form, patient

Json = dict[str, Any]
KNOWLEDGE = load_knowledge()
ASSESSED, PUBLISHED = assessed(KNOWLEDGE), published(KNOWLEDGE)
MARKS = re.compile(r"\[(paper|read|recalled|site)\]$")


def checked(resource: Json) -> Json:
    return fhir_models.checked(encode(resource))


def plan(name: str) -> Json:
    return checked(write_plan_definition(KNOWLEDGE, name))


def questionnaire(name: str) -> Json:
    return checked(write_questionnaire(compile_rulebook(KNOWLEDGE, name)))


# -- PlanDefinition --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASSESSED)
def test_an_assessed_protocol_has_an_action_an_infusion_with_its_criteria(name: str) -> None:
    protocol, found = KNOWLEDGE.protocols[name], plan(name)
    assert found["status"] == "active"
    assert found["version"] == f"{protocol.version}-{KNOWLEDGE.sha256[:12]}"
    assert [one["id"] for one in found["action"]] == [f"infusion-{n}" for n in range(1, protocol.schedule.count + 1)]
    deciding = [one for one in protocol.criteria if KNOWLEDGE.criteria[one].role in GATING]
    deciding = [one for one in deciding if KNOWLEDGE.criteria[one].when is not None]
    assert [one["expression"]["name"] for one in found["action"][0]["condition"]] == deciding
    for action in found["action"]:
        assert action["documentation"]
        assert all(MARKS.search(one["label"]) and one["citation"] for one in action["documentation"])


def test_what_holds_at_the_baseline_only_is_no_condition_of_later_infusions() -> None:
    first, second = (action["condition"] for action in plan("seed-covid-4x")["action"][:2])
    names = [{one["expression"]["name"] for one in conditions} for conditions in (first, second)]
    assert names[0] - names[1] == {"IND-01", "IND-02", "TIM-01"}


def test_a_trigger_is_a_condition_by_its_absence() -> None:
    conditions = {
        one["expression"]["name"]: one["expression"] for one in plan("seed-covid-4x")["action"][0]["condition"]
    }
    assert conditions["EX-02"]["description"].startswith("not: ")
    assert not conditions["IND-01"]["description"].startswith("not: ")


def test_later_infusions_follow_the_one_before_by_the_interval() -> None:
    actions = plan("seed-covid-4x")["action"]
    assert "relatedAction" not in actions[0]
    (related,) = actions[3]["relatedAction"]
    assert (related["actionId"], related["relationship"]) == ("infusion-3", "after-start")
    assert (related["offsetDuration"]["value"], related["offsetDuration"]["code"]) == (72, "h")


def test_another_interval_of_the_site_is_another_version() -> None:
    other = load_knowledge(choices={"interval_h": "96"})
    changed = checked(write_plan_definition(other, "seed-covid-4x"))
    assert changed["version"] != plan("seed-covid-4x")["version"]
    assert changed["action"][1]["relatedAction"][0]["offsetDuration"]["value"] == 96


@pytest.mark.parametrize("name", KNOWLEDGE.information)
def test_a_protocol_for_information_is_an_experimental_draft_without_actions(name: str) -> None:
    found = plan(name)
    assert (found["status"], found["experimental"]) == ("draft", True)
    assert "action" not in found and "library" not in found
    assert found["relatedArtifact"]


def test_every_fact_of_a_protocol_is_there_with_its_mark() -> None:
    usage = plan("seed-covid-4x")["usage"]
    assert all(fact.text in usage for fact in KNOWLEDGE.protocols["seed-covid-4x"].facts)
    assert usage.count("\n") + 1 == len(KNOWLEDGE.protocols["seed-covid-4x"].facts)


# -- Library and data requirements -----------------------------------------------------------------


@pytest.mark.parametrize("name", ASSESSED)
def test_a_library_says_the_criteria_and_names_the_rules(name: str) -> None:
    book = compile_rulebook(KNOWLEDGE, name)
    library = checked(write_library(book))
    words = base64.b64decode(library["content"][0]["data"]).decode()
    assert all(f"## {one}\n" in words and book.texts.get(one, "") in words for one in book.protocol.criteria)
    assert library["identifier"][0]["value"] == KNOWLEDGE.sha256
    assert plan(name)["library"] == [f"{library['url']}|{library['version']}"]
    module = checked(write_module(book))
    assert module["type"]["coding"][0]["code"] == "module-definition"
    assert module["dataRequirement"] == library["dataRequirement"]


def test_the_requirements_name_all_that_a_sample_patient_was_judged_by() -> None:
    """What an answer rests on must be asked for: else who fetches by the requirements leaves it out."""
    for sample in find_samples():
        named = {one["id"]: one for one in requirements(compile_rulebook(KNOWLEDGE, sample.protocol))}
        raw = json.loads((sample.folder / "input.json").read_text())
        for entry in raw["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] == "Observation":
                assert any(_asks_for(one, resource) for one in named.values()), resource["code"]
            elif resource["resourceType"] != "BiologicallyDerivedProduct":
                assert "codeFilter" not in named[resource["resourceType"]]


def _asks_for(requirement: Json, observation: Json) -> bool:
    wanted = {(one["system"], one["code"]) for one in requirement.get("codeFilter", [{"code": []}])[0]["code"]}
    parts = [observation, *observation.get("component", [])]
    return any((one["system"], one["code"]) in wanted for part in parts for one in part["code"]["coding"])


# -- Questionnaire ---------------------------------------------------------------------------------


def items(found: Json) -> Iterator[Json]:
    return (item for group in found["item"] for item in group["item"])


@pytest.mark.parametrize("name", ASSESSED)
def test_the_items_of_a_form_are_distinct_and_named_by_what_they_answer(name: str) -> None:
    links = [one["linkId"] for one in items(questionnaire(name))]
    assert len(links) == len(set(links))
    known = KNOWLEDGE.measurements | KNOWLEDGE.conditions | KNOWLEDGE.criteria
    assert set(links) <= set(known)
    attestable = {one for one in KNOWLEDGE.protocols[name].criteria if KNOWLEDGE.criteria[one].attestable}
    assert attestable <= set(links)


def response(name: str, choice: str = "Y") -> list[Json]:
    """An answer to every item of a form, by its own options."""
    return [answered(one["linkId"], **_answer(one, choice)) for one in items(questionnaire(name))]


def _answer(item: Json, choice: str) -> Json:
    match item["type"]:
        case "choice":
            options = [one["valueCoding"] for one in item["answerOption"]]
            return {"valueCoding": next((one for one in options if one["code"] == choice), options[0])}
        case "decimal":
            return {"valueDecimal": _middle(item["linkId"])}
        case "dateTime":
            return {"valueDateTime": "2020-04-06T09:00:00Z"}
    unit = item["extension"][0]["valueCoding"]
    return {"valueQuantity": {"value": _middle(item["linkId"]), "system": unit["system"], "code": unit["code"]}}


def _middle(name: str) -> float:
    """A number that can be true."""
    hard = KNOWLEDGE.measurements[name].hard
    return 1 if hard is None else float((hard.low + hard.high) / 2)


def record_of(answers: list[Json]) -> PatientRecord:
    return build_record(read_bundle(as_bytes(bundle(patient(birthDate="1960"), form(*answers)))), KNOWLEDGE)


@pytest.mark.parametrize("name", ASSESSED)
@pytest.mark.parametrize(("choice", "truth"), [("Y", Truth.MET), ("N", Truth.NOT_MET), ("UNK", Truth.UNKNOWN)])
def test_a_response_to_the_form_is_read_as_it_was_meant(name: str, choice: str, truth: Truth) -> None:
    record = record_of(response(name, choice))
    # The values are made up: some are unusual.
    assert not [one for one in record.notes if not one.text.endswith(": unusual value")]
    for item in items(questionnaire(name)):
        link = item["linkId"]
        if link in KNOWLEDGE.measurements:
            (measured,) = record.measurements[link]
            assert measured.problem is None, link
            assert (measured.value, measured.answer) != (None, None), link
        else:
            (attested,) = record.attestations[link]
            assert (attested.answer, attested.problem) == (truth, None)


def test_every_unit_that_the_form_offers_is_read() -> None:
    for item in items(questionnaire("seed-covid-4x")):
        if item["type"] != "quantity":
            continue
        for unit in (one["valueCoding"] for one in item["extension"]):
            quantity = {"value": 1, "system": unit["system"], "code": unit["code"]}
            (measured,) = record_of([answered(item["linkId"], valueQuantity=quantity)]).measurements[item["linkId"]]
            assert measured.problem is None or measured.problem.value == "implausible", (item["linkId"], unit)


def test_every_answer_that_the_form_offers_is_read() -> None:
    for item in items(questionnaire("seed-covid-4x")):
        if item["linkId"] in KNOWLEDGE.measurements and item["type"] == "choice":
            for option in item["answerOption"]:
                (measured,) = record_of([answered(item["linkId"], **option)]).measurements[item["linkId"]]
                assert (measured.answer, measured.problem) == (option["valueCoding"]["code"], None)


def test_the_form_settles_what_the_bedside_can_settle() -> None:
    """Whatever an undetermined patient needs from the bedside stands on the form."""
    for sample in find_samples():
        record = build_record(read_bundle((sample.folder / "input.json").read_bytes()), KNOWLEDGE)
        answer = assess(record, compile_rulebook(KNOWLEDGE, sample.protocol), sample.request)
        links = {one["linkId"] for one in items(questionnaire(sample.protocol))}
        assert {one.id for one in answer.needed if one.bedside} <= links


def test_a_name_that_is_no_protocol_is_none(knowledge: KnowledgeBase) -> None:
    with pytest.raises(RequestError, match="no protocol of that id"):
        write_plan_definition(knowledge, "no-such-protocol")
