"""Spark gives the same bytes as one machine. One small input and one session: a start of Spark costs most of it."""

import importlib.util
import shutil

import pytest

from mscprotocol.screening.spark import Spark
from tests.screening.exports import bundles, screen, write_bundles, write_ndjson
from tests.screening.test_lists import TIDY
from tests.screening.test_messages import MERGE, oru
from tests.screening.test_standing import BEFORE, changed, lines, thrombosis, two_exports
from tests.screening.test_versions import entries_of, write_lines

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
        reason="pyspark and Java, of scripts/test-extras, are not here",
    ),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def folder(tmp_path):
    """Everything at once: lines, bundles, lists, messages with a merge, links, identifiers, versions, damage."""
    found = bundles()
    folder = write_ndjson(tmp_path / "in", [found["eligible"], found["pregnant"]])
    write_bundles(folder / "more", {name: found[name] for name in ("pregnant", "mild")})
    write_lines(folder / "versions", entries_of({}, {}))
    (folder / "list.csv").write_text(TIDY)
    rows = (f"{one},,,platelets,180,10*9/L,,,,2020-04-06T08:00:00+08:00" for one in ("P1", "eligible", "PREGNANT"))
    (folder / "same.csv").write_text("\n".join([TIDY.partition("\n")[0], *rows, ""]))
    merge = MERGE.format(kind="ADT^A40", id="3", pid="P2", old="P1")
    (folder / "a.hl7").write_text(oru("1", "P1") + oru("2", "P2") + merge, newline="")
    (folder / "drugs.ndjson").write_text(
        '{"resourceType":"Medication","id":"m","code":{"text":"norepinephrine"}}\n'
        '{"resourceType":"MedicationAdministration","id":"a","status":"in-progress","subject":{"reference":'
        '"Patient/eligible"},"medicationReference":{"reference":"Medication/m"}}\n'
        '{"resourceType":"Condition","id":"c","subject":{"identifier":{"system":"urn:example:mrn","value":"PREGNANT"}}}\n'
        '{"resourceType":"Condition","id":"c","subject":{"identifier":{"system":"urn:example:mrn","value":"NOBODY"}}}\n'
        '{"resourceType":"Con\n'
        '{"resourceType":"Observation","id":"gone","status":"final","code":{"coding":[{"system":"http://loinc.org",'
        '"code":"777-3"}]},"subject":{"reference":"Patient/pregnant"}}\n'
        '{"resourceType":"Bundle","entry":[{"request":{"method":"DELETE","url":"Observation/gone"}},'
        '{"request":{"method":"DELETE","url":"Medication/m"}}]}\n'
    )
    two_exports(folder / "deleted", thrombosis(**changed(BEFORE)))
    two_exports(folder / "doubted", thrombosis(id="dvt2"), url="Condition/dvt2", second=None)
    moved = [
        thrombosis(name, id="moved", **changed(version=number)) for name, number in (("eligible", "1"), ("mild", "2"))
    ]
    nobody = [
        thrombosis(id="n"),
        thrombosis(id="n") | {"subject": {"identifier": {"system": "urn:x", "value": "NOBODY"}}},
    ]
    for number, one in enumerate((*moved, *nobody)):
        lines(folder / f"moved{number}.ndjson", one)
    return folder


def test_the_same_bytes(folder, tmp_path):
    here = screen(folder, tmp_path / "here")
    there = screen(folder, tmp_path / "there", engine=Spark("local[2]"))
    assert {problem["code"] for problem in here.problems} == {"unreadable", "foreign_subject"}
    assert there.bytes == here.bytes
    assert here.balance == there.balance
    assert here.same_identifier == there.same_identifier
    assert [len(one) for one in here.same_identifier] == [2, 2, 2]
    assert (here.balance.fallen, here.balance.in_doubt) == (2, 7)
