"""An export of our own making: bulk FHIR NDJSON of any number of patients, by seed, written as it is made.

A patient is one of a few hundred courses from `generator.make_patient`, with an id, a number and times of his own: as
cheap to write as text. `python bench/exports.py FOLDER PATIENTS [HISTORY]`.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
from generator import AT, SEED, make_patient

COURSES = 240
_OWN_ID = re.compile(rb'("id": ?"|"reference": ?"[A-Z][A-Za-z]+/)([a-z]+[0-9]+)"')
_MINUTE = re.compile(rb"T(\d\d):(\d\d):(\d\d)")


def write_export(folder: Path, patients: int, history: int | None = None, seed: int = SEED) -> int:
    """Write an export as one file a type with a manifest; how many bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    counts: dict[str, int] = defaultdict(int)
    courses = [_course(number, history, seed) for number in range(min(COURSES, patients))]
    for number in range(patients):
        for kind, line in _person(courses[number % len(courses)], number, seed):
            if kind not in files:
                files[kind] = (folder / f"{kind}.ndjson").open("wb", buffering=1 << 20)
            files[kind].write(line)
            counts[kind] += 1
    for file in files.values():
        file.close()
    output = [{"type": kind, "url": f"{kind}.ndjson", "count": number} for kind, number in sorted(counts.items())]
    manifest = {"transactionTime": AT, "request": "made by bench/exports.py", "output": output, "error": []}
    (folder / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return sum(path.stat().st_size for path in folder.iterdir())


def _course(number: int, history: int | None, seed: int) -> list[tuple[str, bytes]]:
    """The resources of one made patient as lines, by type."""
    tree = msgspec.json.decode(make_patient(number, seed, history), type=dict[str, msgspec.Raw])
    entries = msgspec.json.decode(tree["entry"], type=list[dict[str, msgspec.Raw]])
    raws = [bytes(entry["resource"]) for entry in entries]
    own = re.compile(rf"made-{seed}-{number}(?![0-9])".encode(), re.IGNORECASE)  # the id, and the number made of it
    # The generator counts the resources of each patient from 1; in an export an id is that of one resource.
    raws = [own.sub(b"@P@", _OWN_ID.sub(rb'\1@P@-\2"', raw)) for raw in raws]
    return [(msgspec.json.decode(raw)["resourceType"], raw + b"\n") for raw in raws]


def _person(course: list[tuple[str, bytes]], number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """The same course as that of another patient: another id, every time moved by the same minutes."""
    random = Random(f"{seed}/person/{number}")
    own = f"p-{seed}-{number:08}".encode()
    second = f"{random.randint(0, 59):02}".encode()
    for kind, line in course:
        yield kind, _MINUTE.sub(rb"T\1:\2:" + second, line.replace(b"@P@", own))


if __name__ == "__main__":
    target, count, *more = sys.argv[1:]
    print(f"{write_export(Path(target), int(count), int(more[0]) if more else None):,} bytes")
