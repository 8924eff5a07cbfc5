"""Whoever looks at data of patients leaves a line in the audit trail: who, what, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from mscprotocol.service import Service
from mscprotocol.store.tables import AuditEntry
from mscprotocol.subjects import Subjects
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, bundle, newcomer
from tests.web.conftest import NOW
from tests.web.pages.conftest import LogIn


@pytest.mark.parametrize(
    ("path", "action", "subject", "said"),
    [
        (
            "/worklist?q=S-00",
            "read",
            "Worklist",
            {"subjects": 2, "protocol": "", "verdict": "", "searched": True, "page": 1},
        ),
        ("/worklist.csv", "export", "ScreeningLog", {"subjects": 2, "protocol": "", "verdict": ""}),
        ("/subjects/{id}", "read", "Subject/{id}", {"what": "subject"}),
        ("/subjects/{id}/course", "read", "Subject/{id}", {"what": "course"}),
        ("/subjects/{id}/entries/{entry}", "read", "Subject/{id}", {"what": "entry 1"}),
        ("/audit", "read", "AuditTrail", {"entries": 9}),
    ],
)
def test_a_page_with_patient_data_is_noted(
    path: str, action: str, subject: str, said: dict[str, Any], as_role: LogIn, service: Service
) -> None:
    people = Subjects(service)
    for number in ("S-001", "S-002"):
        made = people.enrol(newcomer(number), COORDINATOR).subject
        kept = people.record(made.id, bundle(severe_and_worsening(number, NOW.isoformat())), COORDINATOR)
    assert kept.entry is not None
    client = as_role("auditor")
    names = {"id": made.id, "entry": kept.entry.id}
    with service.database.reading() as session:
        before = len(session.execute(select(AuditEntry)).scalars().all())
    assert client.get(path.format(**names)).status_code == 200
    with service.database.reading() as session:
        new = session.execute(select(AuditEntry).where(AuditEntry.sequence > before)).scalars().all()
    found = [(one.actor, one.action, one.subject) for one in new]
    assert ("auditor", action, subject.format(**names)) in found
    (detail,) = [one.detail for one in new if one.subject == subject.format(**names)]
    assert detail == (said | {"entries": before} if "entries" in said else said)
    assert not any("S-00" in str(one.detail) for one in new)
