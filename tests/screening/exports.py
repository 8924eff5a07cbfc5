"""Exports of our own making: the sample patients as every kind of file, and runs over them."""

import gzip
import json
import re
from collections import Counter, defaultdict
from datetime import datetime
from types import SimpleNamespace

from fhir_adapters.bundle import read_bundle
from fhir_adapters.record_builder import build_record
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.sample_cases import PROTOCOL, find_samples
from mscprotocol.screening.manifest import close_run
from mscprotocol.screening.options import Options
from mscprotocol.screening.outputs import write_outputs
from mscprotocol.screening.progress import Reporter
from mscprotocol.screening.run import run_screening
from mscprotocol.screening.tallies import Tally
from mscprotocol.screening.workers import Local

_SAMPLE_ID = re.compile(rb'("id":"|"reference":"(?!Patient/)[A-Z][A-Za-z]+/)([a-z]{3}\d+)"')
AT = "2020-04-06T10:00:00+08:00"


def bundles():
    """The bytes of every sample patient of the seed protocol, by name."""
    return {one.name: (one.folder / "input.json").read_bytes() for one in find_samples() if one.protocol == PROTOCOL}


def resources(content):
    return [entry["resource"] for entry in json.loads(content, parse_float=str)["entry"]]


def raw_resources(content):
    """Each resource as the text it came in, so that numbers keep their digits."""
    import msgspec

    tree = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    for entry in msgspec.json.decode(tree["entry"], type=list[dict[str, msgspec.Raw]]):
        yield msgspec.json.format(bytes(entry["resource"]), indent=-1)


def write_ndjson(folder, contents, packed=()):
    """A bulk export: one file a type; a manifest is not part of it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = defaultdict(list)
    for content in contents:
        patient = next(one["id"] for one in resources(content) if one["resourceType"] == "Patient")
        for raw in raw_resources(content):
            # The samples count their resources from 1; on a server an id is that of one resource.
            own = _SAMPLE_ID.sub(rf'\1{patient}-\2"'.encode(), raw)
            lines[json.loads(raw)["resourceType"]].append(own)
    for kind, of_kind in lines.items():
        content = b"\n".join(of_kind) + b"\n"
        if kind in packed:
            (folder / f"{kind}.ndjson.gz").write_bytes(gzip.compress(content))
        else:
            (folder / f"{kind}.ndjson").write_bytes(content)
    return folder


def write_bundles(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.json").write_bytes(content)
    return folder


def screen(inputs, out, *, workers=1, resume=False, engine=None, **options):
    """Run a screening in this process; what it left."""
    chosen = Options(**{"protocol": PROTOCOL, "at": AT, **options})
    with (engine or Local(workers)).running() as running:
        inputs = inputs if isinstance(inputs, list) else [inputs]
        finished = run_screening(inputs, out, chosen, running, Reporter("none"), resume=resume)
    balance = write_outputs(finished, Tally())
    close_run(out)
    same_identifier = finished.staged.same_identifier
    return SimpleNamespace(balance=balance, why=finished.why, same_identifier=same_identifier, **left(out))


def left(out):
    """The answers by patient and protocol, and what was not assessed."""
    answers = [json.loads(line) for line in (out / "assessments.ndjson").read_bytes().splitlines()]
    problems = [json.loads(line) for line in (out / "quarantine.ndjson").read_bytes().splitlines()]
    return {
        "answers": {(one["patient"]["id"], one["protocol"]["id"]): one for one in answers},
        "problems": problems,
        "codes": Counter((one["level"], one["code"]) for one in problems),
        "bytes": {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file()},
    }


def assessed_alone(content, at=AT, protocol=PROTOCOL):
    """The answer that `assess` gives for one bundle."""
    knowledge = load_knowledge()
    record = build_record(read_bundle(content), knowledge)
    return assess(record, compile_rulebook(knowledge, protocol), Request(datetime.fromisoformat(at)))
