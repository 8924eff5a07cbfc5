"""The sample patients: each a bundle with the question put to it, and what a clinician expects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from fhir_adapters.bundle import read_bundle
from fhir_adapters.record_builder import build_record
from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.places import find_folder
from mscprotocol.rulebook import compile_rulebook

PROTOCOL = "seed-covid-4x"


@dataclass(frozen=True)
class SampleCase:
    """A sample patient with the question put to it, by which protocol, and what is expected."""

    name: str
    folder: Path
    request: Request
    protocol: str
    expected: dict[str, Any]
    title: str


def find_samples(home: Path | None = None) -> Iterator[SampleCase]:
    """The sample patients of a folder (default: those that came with this installation)."""
    for folder in sorted(path.parent for path in (home or find_folder("samples")).glob("*/case.json")):
        case = msgspec.json.decode((folder / "case.json").read_bytes())
        level = case.get("dose_level")
        request = Request(
            at=datetime.fromisoformat(case["at"]),
            stage=case.get("stage", "screening"),
            zone=case.get("zone", "UTC"),
            dose_level=None if level is None else Decimal(level),
        )
        title = (folder / "description.md").read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        yield SampleCase(folder.name, folder, request, case.get("protocol", PROTOCOL), case["expected"], title)


def assess_sample(sample: SampleCase, knowledge: KnowledgeBase, protocol: str | None = None) -> Assessment:
    """The answer for one sample patient, by its own protocol or another one."""
    record = build_record(read_bundle([(sample.folder / "input.json").read_bytes()]), knowledge)
    return assess(record, compile_rulebook(knowledge, protocol or sample.protocol), sample.request)
