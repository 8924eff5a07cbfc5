"""Habits of the source: small modules with telling names, no clock, no float, no knowledge in the code."""

import ast
import re

import pytest

from tests.architecture.source import ADAPTERS, CORE, MODULES, ROOT, calls, imports, strings, tree

ALL = [*MODULES, *ADAPTERS]
VAGUE = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
CLOCKS = re.compile(r"(^|\.)(now|utcnow|today|time_ns|perf_counter|monotonic)$|^time\.time$")
LOINC = re.compile(r"(?<![\w.-])\d{3,5}-\d(?![\w-])")
SNOMED = re.compile(r"(?<![\w.])\d{6,18}(?![\w.])")
CITATION = re.compile(
    r"\bet al\b|\bdoi\b|\b10\.\d{4,}/|\bPMID\b|\bNCT\d{8}\b|\((19|20)\d\d\)|\bet\. al\b", re.IGNORECASE
)
EXAMPLE = "; write it like 'loinc 777-3'"  # how the error of codes.parse_code shows the manner of writing


def name(path):
    return path.relative_to(ROOT).as_posix()


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=name)


def test_the_source_was_found():
    assert {"engine.py", "interval.py", "findings.py", "assessment.py"} <= {path.name for path in CORE}
    assert len(MODULES) > 30


@each(ALL)
def test_a_module_of_more_than_400_lines_is_two_things(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@each(ALL)
def test_names_say_what_a_module_is(path):
    words = {word for part in path.relative_to(ROOT).with_suffix("").parts for word in part.split("_")}
    assert not words & VAGUE


@each(ALL)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(tree(path))


@each(CORE)
def test_the_core_has_no_clock(path):
    assert [call for call in calls(path) if CLOCKS.search(call)] == []
    assert "time" not in imports(path)


@each(CORE)
def test_the_core_does_not_roll_dice(path):
    assert not {"random", "secrets", "uuid"} & {module.partition(".")[0] for module in imports(path)}


@each(MODULES)
def test_nothing_is_printed(path):
    assert "print" not in calls(path)


@each(CORE)
def test_the_core_reckons_without_floats(path):
    numbers = [node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant)]
    assert [number for number in numbers if isinstance(number, float | complex)] == []
    assert "float" not in calls(path)


@each(MODULES)
def test_knowledge_is_data(path):
    """No code of a coding system, and no citation: both belong to rules/."""
    texts = [text.replace(EXAMPLE, "") for text in strings(path)]
    assert [text for text in texts if LOINC.search(text) or SNOMED.search(text)] == []
    assert [text for text in texts if CITATION.search(text)] == []


@pytest.mark.parametrize("text", ["777-3", "loinc 2703-7", "59282003", "snomed 840539006", "882784691000119100"])
def test_codes_are_recognised(text):
    assert LOINC.search(text) or SNOMED.search(text)


@pytest.mark.parametrize(
    "text", ["2020-04-06", "urn:oid:2.16.840.1.113883.6.96", "10*9/L", "I80.1-I80.3", "90 d", "1-2", "12345"]
)
def test_what_is_no_code_is_not_taken_for_one(text):
    assert not LOINC.search(text)
    assert not SNOMED.search(text)


@pytest.mark.parametrize(
    "call", ["datetime.now", "datetime.datetime.now", "datetime.utcnow", "date.today", "time.time"]
)
def test_clocks_are_recognised(call):
    assert CLOCKS.search(call)


@pytest.mark.parametrize("call", ["measured.time", "timedelta", "lifetime", "datetime.combine", "self._time"])
def test_what_is_no_clock(call):
    assert not CLOCKS.search(call)
