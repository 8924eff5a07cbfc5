"""Damaged bundles: an answer that keeps its promises or one clear DataError, never anything else.

`python -m tests.fuzz.test_bundle_fuzz 10000` runs as many mutations as one likes; `… 1 4711` runs number 4711 alone.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import gettempdir
from time import perf_counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fhir_adapters.bundle import read_bundle
from fhir_adapters.record_builder import build_record
from mscprotocol.answer import to_json
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import STAGES
from mscprotocol.rendering import render_html
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.sample_cases import PROTOCOL, find_samples
from mscprotocol.summary import render_text
from tests.cases.test_samples import MANDATORY
from tests.fuzz.invariants import BrokenPromiseError, check_answer
from tests.fuzz.mutations import mutate

SEED = 2020
CHUNKS, A_CHUNK = 6, 100
SAMPLES = list(find_samples())
CONTENTS = {sample.name: (sample.folder / "input.json").read_bytes() for sample in SAMPLES}
BY_NAME = {sample.name: sample for sample in SAMPLES}
QUIET = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def answer_to(content: bytes, request: Request, knowledge: KnowledgeBase, *, html: bool = False) -> dict[str, Any]:
    """The answer after every promise was checked; DataError passes."""
    record = build_record(read_bundle(content), knowledge)
    answer = assess(record, compile_rulebook(knowledge, PROTOCOL), request)
    decoded = check_answer(to_json(answer), content)
    assert "not an order" in render_text(answer, colour=False)
    if html:
        assert "<script" not in render_html(answer, knowledge)
    return decoded


def damaged_case(number: int, seed: int = SEED) -> tuple[bytes, Request]:
    """Mutation of some number: the same bytes and question on every run."""
    sample = SAMPLES[number % len(SAMPLES)]
    random = Random(f"{seed}/{number}")
    request = replace(sample.request, stage=random.choice((*STAGES, "screening")))
    return mutate(CONTENTS[sample.name], random), request


def outcome_of(number: int, knowledge: KnowledgeBase) -> str:
    """The verdict or the code of the data error."""
    content, request = damaged_case(number)
    try:
        return str(answer_to(content, request, knowledge, html=number % 20 == 0)["verdict"])
    except DataError as error:
        return f"DataError {error.code}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damage_gives_an_honest_answer_or_a_data_error(chunk: int, knowledge: KnowledgeBase) -> None:
    numbers = range(chunk * A_CHUNK, (chunk + 1) * A_CHUNK)
    seen = Counter(outcome_of(number, knowledge) for number in numbers)
    assert seen["undetermined"] + seen["ineligible"] > A_CHUNK / 4, "the damage is so great that nothing is tested"


@QUIET
@given(st.binary(max_size=200))
def test_any_bytes_are_a_data_error(content: bytes) -> None:
    with pytest.raises(DataError):
        read_bundle(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@QUIET
@given(place=st.integers(min_value=1, max_value=60), key=st.integers(min_value=0, max_value=12), value=JSON)
def test_any_json_may_stand_in_any_field(place: int, key: int, value: Any, knowledge: KnowledgeBase) -> None:
    bundle = json.loads(CONTENTS["eligible"])
    resource = bundle["entry"][place % len(bundle["entry"])]["resource"]
    resource[list(resource)[key % len(resource)]] = value
    with suppress(DataError):
        answer_to(json.dumps(bundle).encode(), BY_NAME["eligible"].request, knowledge)


@pytest.mark.parametrize("date", ["9999-12-31", "9999", "9999-12-31T23:59:59Z", "0001-01-01", "0001"])
def test_dates_that_stand_for_never_are_dates(date: str, knowledge: KnowledgeBase) -> None:
    """Many systems write the last or first day of the calendar for a time that nobody knows."""
    bundle = json.loads(CONTENTS["eligible"])
    for entry in bundle["entry"]:
        for key in {"effectiveDateTime", "onsetDateTime", "performedDateTime"} & entry["resource"].keys():
            entry["resource"][key] = date
    assert answer_to(json.dumps(bundle).encode(), BY_NAME["eligible"].request, knowledge)["verdict"] != "eligible"


ENTRIES = json.loads(CONTENTS["eligible"])["entry"]


def is_coded(entry: dict[str, Any], codes: set[str]) -> bool:
    return any(one.get("code") in codes for one in entry["resource"].get("code", {}).get("coding", ()))


@QUIET
@given(
    groups=st.sets(st.sampled_from(sorted(MANDATORY)), min_size=1, max_size=4),
    others=st.sets(st.integers(min_value=1, max_value=len(ENTRIES) - 1), max_size=12),
)
def test_without_mandatory_data_nobody_is_eligible(
    groups: set[str], others: set[int], knowledge: KnowledgeBase
) -> None:
    codes = {code for group in groups for code in MANDATORY[group]}
    kept = [entry for place, entry in enumerate(ENTRIES) if place not in others and not is_coded(entry, codes)]
    content = json.dumps({**json.loads(CONTENTS["eligible"]), "entry": kept}).encode()
    answer = answer_to(content, BY_NAME["eligible"].request, knowledge)
    assert answer["verdict"] != "eligible"
    assert answer["dose"]["status"] != "planned"


@QUIET
@given(name=st.sampled_from(("pregnant", "resolved-dvt", "overt-dic")), seed=st.integers(), share=st.floats(0, 0.6))
def test_an_excluded_patient_is_never_freed_by_silence(
    name: str, seed: int, share: float, knowledge: KnowledgeBase
) -> None:
    bundle, random = json.loads(CONTENTS[name]), Random(seed)
    bundle["entry"][1:] = [entry for entry in bundle["entry"][1:] if random.random() > share]
    answer = answer_to(json.dumps(bundle).encode(), BY_NAME[name].request, knowledge)
    assert answer["verdict"] != "eligible"


def test_the_checks_can_fail() -> None:
    broken = {"verdict": "eligible", "outlook": None, "criteria": [{"id": "x", "role": "exclusion", "mandatory": True}]}
    broken["criteria"][0]["status"] = "unknown"  # type: ignore[index]
    with pytest.raises(BrokenPromiseError, match="eligible, but x"):
        check_answer(json.dumps(broken).encode(), b"{}")


# -- as a script -------------------------------------------------------------------------------------


def run_many(count: int, first: int = 0) -> int:
    """Run mutations, print what came out, write the bytes of failures; the number of failures."""
    from mscprotocol.knowledge_loader import load_knowledge

    knowledge, seen, start = load_knowledge(), Counter[str](), perf_counter()
    failures: dict[str, list[int]] = {}
    for number in range(first, first + count):
        try:
            seen[outcome_of(number, knowledge)] += 1
        except Exception as error:  # noqa: BLE001 - the point of the run is to see every kind
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__}: {str(error)[:120]} at {Path(place.filename).name}:{place.lineno}"
            failures.setdefault(where, []).append(number)
    failed = sum(map(len, failures.values()))
    print(f"{count} mutations (seed {SEED}, from {first}) in {perf_counter() - start:.0f} s, {failed} failures")
    for outcome, times in seen.most_common():
        print(f"  {times:7} {outcome}")
    for where, numbers in sorted(failures.items(), key=lambda item: -len(item[1])):
        target = Path(gettempdir()) / f"fuzz-{numbers[0]}.json"
        target.write_bytes(damaged_case(numbers[0])[0])
        print(f"  FAILED {len(numbers)} times: {where}; numbers {numbers[:5]}; see {target}")
    return failed


if __name__ == "__main__":
    sys.exit(bool(run_many(*(int(one) for one in sys.argv[1:3] or ["1500"]))))
