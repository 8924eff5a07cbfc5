"""Patients who are assessed at the same time get the answers that each gets alone: nothing leaks between them."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import msgspec

from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.case_records import build_record
from mscprotocol.case_tables import read_rows
from mscprotocol.engine import Engine
from tests.properties.invariance import CASES, all_books

PATIENTS, THREADS = 500, 8


def test_h43_500_patients_in_parallel_like_one_after_the_other(knowledge):
    """A fresh engine each time, so that durable-rules really runs while others wait for it."""
    books = all_books(knowledge)
    rows = list(islice((row for row in read_rows(CASES) if row.given), PATIENTS))
    patients = [
        (
            build_record(knowledge, row.given, row.at),
            books[number % len(books)],
            Request(row.at, row.stage or "screening"),
        )
        for number, row in enumerate(rows)
    ]
    assert len(patients) == PATIENTS
    alone, together = Engine(), Engine()
    expected = [msgspec.json.encode(assess(*patient, alone)) for patient in patients]
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda patient: msgspec.json.encode(assess(*patient, together)), patients))
    assert found == expected
    assert len(set(found)) > PATIENTS / 10
    assert together.misses > 0
