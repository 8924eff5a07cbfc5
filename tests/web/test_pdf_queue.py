"""PDFs are made one after the other, by whatever door they are asked for; beyond a few who wait: 503."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from mscprotocol.web import stored
from tests.web.pages.test_screening import sample


class Press:
    """Makes PDFs when it is let; counts how many at once."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.now = self.most = 0

    def __call__(self, *_: Any) -> bytes:
        self.now += 1
        self.most = max(self.most, self.now)
        self.begun.set()
        assert self.go.wait(60)
        self.now -= 1
        return b"%PDF-"


@pytest.fixture
def press(monkeypatch: pytest.MonkeyPatch) -> Press:
    made = Press()
    monkeypatch.setattr(stored, "render_pdf", made)
    monkeypatch.setattr(stored.pdf_queue, "_inside", 0)
    return made


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came")


def test_one_is_made_at_a_time_few_wait_and_others_are_told_when_to_return(client: TestClient, press: Press) -> None:
    fhir = {"content-type": "application/fhir+json", "accept": "application/json"}
    place = client.post("/api/v1/assess", content=sample("eligible"), headers=fhir).headers["location"]
    identity = place.rpartition("/")[2]
    doors = [f"{place}/checklist?format=pdf", f"/assessments/{identity}/checklist.pdf"]
    with ThreadPoolExecutor(stored.MOST_WAITING + 1) as pool:
        asked = [pool.submit(client.get, doors[one % 2]) for one in range(stored.MOST_WAITING + 1)]
        assert press.begun.wait(60)
        wait_until(lambda: stored.pdf_queue._inside == stored.MOST_WAITING + 1)
        for door in doors:
            refused = client.get(door)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
            assert "try again in half a minute" in refused.text
        assert client.get("/healthz").status_code == 200, "others go on"
        assert client.get(f"{place}/checklist").status_code == 200
        press.go.set()
        assert [one.result().status_code for one in asked] == [200] * len(asked)
    assert press.most == 1
    assert client.get(doors[0]).status_code == 200


def test_a_pdf_that_fails_leaves_its_place(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored.pdf_queue, "_inside", 0)
    for _ in range(stored.MOST_WAITING + 3):
        assert client.get("/api/v1/assessments/nobody/checklist?format=pdf").status_code == 404
    assert stored.pdf_queue._inside == 0
