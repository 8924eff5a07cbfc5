"""The screening of a whole export, measured in one run: `python bench/screening.py [MEGABYTES]`, 300 if left out.

Ratios come first, because they mean the same on every machine. Nothing here asserts a time.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import msgspec
from exports import write_export
from generator import AT

from fhir_adapters.decoding import decode
from fhir_adapters.resources import CLINICAL, LINKED, Patient

KINDS = {"Patient": Patient, **CLINICAL, **LINKED}
HISTORY, PER_PATIENT, VALIDATED = 4, 60_000, 300


def bare(folder: Path) -> float:
    """Seconds to read every line, and to decode those of the types that we have structs for, and nothing else."""
    begun = perf_counter()
    for path in sorted(folder.glob("*.ndjson")):
        kind = KINDS.get(path.stem)
        with path.open("rb") as file:
            for line in file:
                if kind is not None:
                    decode(kind, line)
    return perf_counter() - begun


def ours(folder: Path, out: Path, workers: int) -> tuple[float, float]:
    """Seconds of the whole command, and the MiB of its largest process."""
    shutil.rmtree(out, ignore_errors=True)
    said = ["screen", str(folder), "--out", str(out), "--at", AT, "--workers", str(workers), "--progress", "none"]
    begun = perf_counter()
    process = os.posix_spawn(sys.executable, [sys.executable, "-m", "mscprotocol", *said], os.environ)
    _, status, usage = os.wait4(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return perf_counter() - begun, usage.ru_maxrss / 1024


def validation(folder: Path) -> float:
    """MB/s of fhir.resources on the first observations."""
    from fhir.resources.R4B.observation import Observation

    with (folder / "Observation.ndjson").open("rb") as file:
        lines = [next(file) for _ in range(VALIDATED)]
    begun = perf_counter()
    for line in lines:
        Observation.model_validate_json(line)
    return sum(map(len, lines)) / 1e6 / (perf_counter() - begun)


def main(megabytes: int) -> None:
    """Make the export, measure, print."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        patients = max(80, megabytes * 1_000_000 // PER_PATIENT)
        size = write_export(home / "in", patients, HISTORY) / 1e6
        print(f"{patients:,} made patients, {size:.0f} MB of NDJSON; load average {os.getloadavg()[0]:.1f}")
        floor = bare(home / "in")
        one, memory = ours(home / "in", home / "one", 1)
        two, _ = ours(home / "in", home / "two", 2)
        names = ("assessments.ndjson", "screening_log.csv", "report.html")
        assert all((home / "one" / one_).read_bytes() == (home / "two" / one_).read_bytes() for one_ in names)
        print(f"bare typed decoding          {size / floor:8.1f} MB/s")
        print(f"screen, one worker           {size / one:8.1f} MB/s  {floor / one:.3f} of bare (aim 0.5)  "
              f"{patients / one:.0f} patients/s  peak {memory:.0f} MiB (aim under 500)")  # fmt: skip
        print(f"screen, two workers          {size / two:8.1f} MB/s  {one / two:.2f} times one (aim 1.7)")
        print(f"fhir.resources validation    {validation(home / 'in'):8.1f} MB/s")
        for times in (1, 2, 4, 8):
            part = max(10, patients * times // 8)
            shutil.rmtree(home / "in")
            write_export(home / "in", part, HISTORY)
            seconds, memory = ours(home / "in", home / "one", 1)
            print(f"growth {times}x: {part:,} patients {seconds / part * 1000:.1f} ms a patient, peak {memory:.0f} MiB")
        print(msgspec.json.encode({"command": f"python bench/screening.py {megabytes}"}).decode())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
