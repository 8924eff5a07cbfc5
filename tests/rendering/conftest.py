"""Hand-made answers, realistic but nobody's: eligible, undetermined, ineligible, and one full of hostile text."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache

import msgspec
import pytest

from mscprotocol.answer import (
    AllowingSets,
    Alternatives,
    Assessment,
    ClassResult,
    CriterionResult,
    Deadline,
    Deciding,
    DecidingDatum,
    DoseItem,
    DoseLine,
    EvidenceItem,
    ExcludingSet,
    GateResult,
    ItemRange,
    NeededItem,
    Note,
    PatientItem,
    ProtocolItem,
    RulebaseItem,
    ScheduleRow,
    ScoreItemResult,
    SignalItem,
    SourceItem,
    TierResult,
    TimingResult,
    TraceItem,
)
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.protocols import STAGES

AT = datetime.fromisoformat("2020-04-06T10:00:00+08:00")
HOSTILE = 'Eve "\\"; } body{display:none} </style><script>alert(1)</script>\n\u202eevil'


@cache
def rules() -> KnowledgeBase:
    return load_knowledge()


@pytest.fixture(scope="session")
def knowledge() -> KnowledgeBase:
    return rules()


@pytest.fixture(scope="session")
def eligible() -> Assessment:
    return make_answer("eligible")


@pytest.fixture(scope="session")
def undetermined() -> Assessment:
    return make_answer("undetermined")


@pytest.fixture(scope="session")
def ineligible() -> Assessment:
    return make_answer("ineligible")


@pytest.fixture(scope="session", params=["eligible", "undetermined", "ineligible"])
def answer(request: pytest.FixtureRequest) -> Assessment:
    return make_answer(request.param)


def hostile() -> Assessment:
    """An undetermined answer in which everything that came with the record tries to be markup."""
    base = make_answer("undetermined")
    nasty = entry("D-dimer", HOSTILE, 3, reference=HOSTILE, as_received=HOSTILE)
    criteria = [msgspec.structs.replace(one, evidence=[nasty]) for one in base.criteria]
    return msgspec.structs.replace(
        base,
        patient=PatientItem(HOSTILE, [{"system": HOSTILE, "value": HOSTILE}], HOSTILE, "1961-02-03", HOSTILE),
        criteria=criteria,
        data_quality=[Note(HOSTILE, HOSTILE)],
    )


def moment(hours: float) -> str:
    """An instant so many hours before the evaluation."""
    return (AT - timedelta(hours=hours)).isoformat()


def entry(
    datum: str,
    value: str | None,
    hours: float | None,
    *,
    code: str | None = None,
    reference: str = "Observation/1",
    as_received: str = "",
    used: bool = True,
    why_not: str | None = None,
) -> EvidenceItem:
    return EvidenceItem(
        reference=reference,
        code=code,
        datum=datum,
        value=value,
        as_received=as_received or value or "",
        at=None if hours is None else moment(hours),
        age_hours=None if hours is None else f"{hours:.1f}",
        used=used,
        why_not=why_not,
    )


def make_answer(verdict: str, stage: str = "enrolment") -> Assessment:
    """A whole answer. Undetermined: no D-dimer, exclusions not asked. Ineligible: a recent embolism."""
    knowledge = rules()
    protocol = knowledge.protocols["seed-covid-4x"]
    is_open = verdict == "undetermined"
    criteria = [_criterion(name, verdict, stage) for name in protocol.criteria]
    return Assessment(
        verdict=verdict,
        stage=stage,
        outlook="needs_data" if is_open else None,
        patient=PatientItem(
            "p-0417",
            [{"system": "urn:oid:1.2.3", "value": "MRN 88-104-2"}],
            "Ana Müller-Sørensen",
            "1961-02-03",
            "female",
        ),
        protocol=ProtocolItem(protocol.id, protocol.version, protocol.title),
        at=AT.isoformat(),
        valid_until=moment(-14),
        expires_first="IND-02",
        criteria=criteria,
        severity={
            "nhc": ClassResult(
                "Clinical class by the National Health Commission of China",
                "Leng 2020, Table 1",
                "severe",
                "severe",
                ["SpO2 ≤ 93%"],
                id="severity_nhc",
            ),
            "nih": ClassResult(
                "Clinical spectrum by the US National Institutes of Health",
                "2024 table",
                "unknown",
                "severe",
                [],
                id="severity_nih",
            ),
            "who": ClassResult(
                "Clinical severity by the World Health Organization",
                "living guidance table",
                "unknown",
                None,
                [],
                id="severity_who",
            ),
        },
        complications={"ards": "unknown", "sepsis": "not_met", "septic_shock": "not_met"},
        scores=_scores(complete=not is_open),
        coagulopathy=_tier(verdict),
        timing=_timing(),
        dose=_dose(verdict),
        schedule=[] if verdict == "ineligible" else _schedule("conditional" if is_open else "proposed"),
        gate=None,
        needed=_needed() if is_open else [],
        deciding=_deciding() if is_open else None,
        warnings=[
            Note("COA-06", knowledge.criteria["COA-06"].text, "paper"),
            Note("EVD-01", "said in the banner", "paper"),
        ],
        data_quality=[Note("Observation/77", "Code local PLT is not in the dictionary but looks like: platelets")],
        trace=[TraceItem("verdict", verdict, ["violated", "open"])],
        rulebase=RulebaseItem(knowledge.version, knowledge.sha256),
        input_sha256="1" * 64,
        trace_sha256="2" * 64,
    )


def _criterion(name: str, verdict: str, stage: str) -> CriterionResult:
    criterion = rules().criteria[name]
    status, reason, evidence = _judge(name, verdict, stage)
    return CriterionResult(
        id=name,
        role=criterion.role,
        stage=criterion.stage,
        text=criterion.text,
        status=status,
        reason=reason,
        other_reasons=["missing"] if reason == "stale" else [],
        explanation="as the rule reads",
        because=[],
        open_items=[],
        evidence=evidence,
        sources=[SourceItem(one.id, one.mark, one.section, one.quote) for one in criterion.sources],
        expires=None,
        attestable=criterion.attestable,
        mandatory=criterion.decides and status != "not_applicable",
    )


def _judge(name: str, verdict: str, stage: str) -> tuple[str, str | None, list[EvidenceItem]]:
    criterion = rules().criteria[name]
    if STAGES.index(criterion.stage) > STAGES.index(stage):
        return "not_applicable", None, []
    if name == "IND-02":
        return "met", None, [entry("Oxygen saturation (SpO2)", "91 %", 1.5, code="LOINC 59408-5", as_received="0.91 1")]
    if name == "EX-04" and verdict == "ineligible":
        return "met", None, [entry("Pulmonary embolism", "present, ended", 720, reference="Condition/9")]
    if verdict == "undetermined" and name in ("COA-01", "EX-02", "EX-15", "EX-24", "REG-02"):
        stale = entry("D-dimer", "0.9 mg/L", 61, code="LOINC 48065-7", used=False, why_not="stale")
        return "unknown", "stale" if name == "COA-01" else "missing", [stale] if name == "COA-01" else []
    if verdict == "undetermined" and name == "TIM-01":
        return "unknown", "conflicting_signals", []
    status = "met" if criterion.role not in ("exclusion", "safety", "warning") else "not_met"
    return (
        status,
        None,
        [
            entry(
                criterion.text.split(",")[0], "yes" if status == "met" else "no", 4, reference="QuestionnaireResponse/3"
            )
        ],
    )


def _scores(*, complete: bool) -> dict[str, ScoreItemResult]:
    span = ItemRange(0, 0) if complete else ItemRange(0, 3)
    return {
        "sofa": ScoreItemResult(
            4, 8, {"respiration": ItemRange(3, 3), "liver": ItemRange(0, 4), "renal": ItemRange(1, 1)}, ["liver"]
        ),
        "dic_isth": ScoreItemResult(
            1,
            1 if complete else 4,
            {
                "platelets": ItemRange(1, 1),
                "fibrin_marker": span,
                "prothrombin_time": ItemRange(0, 0),
                "fibrinogen": ItemRange(0, 0),
            },
            [] if complete else ["fibrin_marker"],
            overt="not_met",
        ),
        "sic": ScoreItemResult(
            2,
            2,
            {"platelets": ItemRange(1, 1), "inr": ItemRange(0, 0), "sofa": ItemRange(1, 1)},
            [],
            as_published="not_met",
            total_at_least_4="not_met",
        ),
    }


def _tier(verdict: str) -> TierResult:
    panel = [
        entry("Platelets", "142 10*9/L", 5, code="LOINC 777-3", reference="Observation/21", as_received="142 10*3/uL"),
        entry("INR", "1.1", 5, code="LOINC 6301-6", reference="Observation/22"),
        entry("Prothrombin time", "13.1 s", 5, code="LOINC 5902-2", reference="Observation/23"),
        entry("Fibrinogen", "4.2 g/L", 5, code="LOINC 3255-7", reference="Observation/24"),
    ]
    if verdict == "undetermined":
        panel.append(entry("D-dimer", "0.9 mg/L", 61, code="LOINC 48065-7", used=False, why_not="stale"))
        return TierResult(
            "unknown",
            "moderate",
            ["Platelets < 150 10*9/L", "open: D-dimer in multiples of its upper limit of normal > 4"],
            panel,
        )
    panel.append(
        entry("D-dimer", "0.9 mg/L", 5, code="LOINC 48065-7", reference="Observation/25", as_received="900 ng/mL FEU")
    )
    panel.append(
        entry(
            "D-dimer in multiples of its upper limit of normal",
            "1.8",
            5,
            reference="Observation/25",
            as_received="0.9 / 0.5",
        )
    )
    tier = "contraindicated" if verdict == "ineligible" else "moderate"
    return TierResult(tier, tier, ["Platelets < 150 10*9/L"], panel)


def _timing() -> TimingResult:
    def signal(
        name: str, text: str, state: str, unit: str, points: list[tuple[float, str]], *, needs: str = ""
    ) -> SignalItem:
        slope = ("-48.5", "-6 of 6 pairs") if points and not needs else (None, None)
        stamped = [(moment(hours), value) for hours, value in points]
        return SignalItem(name, text, "respiratory", state, unit, stamped, *slope, needs)

    return TimingResult(
        "worsening",
        [
            signal("oxygen_step", "Oxygen support", "worse", "", [(50, "1"), (26, "1"), (9, "4"), (2, "4")]),
            signal("pf_ratio", "PaO2/FiO2", "worse", "mm[Hg]", [(60, "260"), (40, "231"), (20, "198"), (3, "171")]),
            signal(
                "respiratory_rate", "Respiratory rate", "stable", "/min", [(20, "24"), (14, "26"), (8, "25"), (1, "27")]
            ),
            signal("crp", "C-reactive protein", "worse", "mg/L", [(44, "48.2"), (20, "110"), (4, "131.5")]),
            signal(
                "lactate", "Lactate", "insufficient", "mmol/L", [(5, "1.4")], needs="1 more Lactate over at least 2 h"
            ),
            signal("imaging", "Chest imaging", "insufficient", "", [], needs="Chest imaging compared with before"),
        ],
        time_critical=True,
        hours_since_signal="9",
    )


def _dose(verdict: str) -> DoseItem:
    if verdict == "ineligible":
        return DoseItem("withheld", ["The patient is ineligible."])
    if verdict == "undetermined":
        return DoseItem("withheld", ["The coagulopathy tier is unknown, at least moderate."])
    return DoseItem(
        status="planned",
        because=[],
        cells_per_kg="1000000",
        weight_kg="70.5",
        weight_basis="actual",
        weight_source="Observation/5",
        weight_at=moment(26),
        predicted_weight_kg="57.06",
        actual_to_predicted="1.24",
        cells="70500000",
        cell_basis="viable",
        volume_ml="8.2",
        delivered_cells="69700000",
        bags=1,
        rate_ml_h="100",
        dmso_g_per_kg="0.0128",
        endotoxin_eu_per_kg=None,
        lines=[
            DoseLine("Dose level", "closed list of the protocol", "1 000 000 cells/kg", "paper", "li-2020"),
            DoseLine("Target cells", "1 000 000 cells/kg x 70.5 kg", "70 500 000 viable cells", "paper", "li-2020"),
            DoseLine(
                "Volume",
                "70 500 000 / 8 500 000 per mL = 8.2941 mL",
                "8.2 mL (rounded down to 0.1 mL)",
                "site",
                "site-policy",
            ),
            DoseLine(
                "Rate",
                "diluted to 100 mL, over 60 min",
                "100 mL/h; first 10 min at most 50 mL/h",
                "site",
                "site-policy",
            ),
            DoseLine("DMSO", "8.2 mL x 10 % v/v x 1.10 g/mL", "0.902 g = 0.0128 g/kg", "read", "dmso-review"),
        ],
        warnings=["Starting guide only: the optimised dose has not been formally established."],
    )


def _schedule(status: str) -> list[ScheduleRow]:
    rows = []
    for number in range(4):
        planned = AT + timedelta(hours=72 * number)
        early, late = (timedelta(0), timedelta(0)) if number == 0 else (timedelta(hours=6), timedelta(hours=48))
        rows.append(
            ScheduleRow(
                number + 1,
                (planned - early).isoformat(),
                planned.isoformat(),
                (planned + late).isoformat(),
                status,
                3 * number,
                3 * number + 1,
            )
        )
    return rows


def _needed() -> list[NeededItem]:
    def need(name: str, datum: str, reason: str, settles: list[str], *, codes: list[str] | None = None) -> NeededItem:
        return NeededItem(name, datum, codes or [], reason, settles, ["exclude", "allow"], codes is None, moment(-14))

    return [
        need("d_dimer", "D-dimer with its upper limit of normal", "stale", ["COA-01"], codes=["LOINC 48065-7"]),
        need("pregnancy", "Pregnant or breast-feeding", "missing", ["EX-02"]),
        need("hypersensitivity", "Hypersensitivity to DMSO, porcine or bovine protein", "missing", ["EX-15"]),
        need("other_trial", "In another interventional trial", "missing", ["EX-24"]),
        need("consent", "Informed consent", "missing", ["REG-02"]),
        need("trend", "A named clinician's review of TIM-01", "conflicting_signals", ["TIM-01"]),
    ]


def _deciding() -> Deciding:
    return Deciding(
        exclude=[
            ExcludingSet(["pregnancy"], ["EX-02"]),
            ExcludingSet(["breastfeeding"], ["EX-02"]),
            ExcludingSet(["d_dimer", "platelets"], ["COA-01"]),
        ],
        exclude_more=0,
        allow=AllowingSets(
            all_of=[
                Alternatives("EX-02", [["pregnancy", "breastfeeding"]], 0),
                Alternatives("COA-01", [["d_dimer", "inr"], ["d_dimer", "pt"]], 0),
            ],
            always=["pregnancy", "breastfeeding", "d_dimer"],
            smallest=[["pregnancy", "breastfeeding", "d_dimer", name] for name in ("inr", "pt")],
            smallest_count=2,
            blocked=[],
        ),
        data=[
            DecidingDatum("pregnancy", "Pregnancy", ["SNOMED 77386006"], True),
            DecidingDatum("breastfeeding", "Breast-feeding", [], True),
            DecidingDatum("d_dimer", "D-dimer with its upper limit of normal", ["LOINC 48065-7"], False),
            DecidingDatum("platelets", "Platelets", ["LOINC 777-3"], False),
            DecidingDatum("inr", "INR", ["LOINC 6301-6"], False),
            DecidingDatum("pt", "Prothrombin time", ["LOINC 5902-2"], False),
        ],
        by=Deadline(moment(-14), "criterion", "IND-02"),
        complete=True,
    )


def with_gate(base: Assessment) -> Assessment:
    return msgspec.structs.replace(base, gate=GateResult(2, "hold", ["COA-01: unknown"]))


def with_many_needs(base: Assessment, count: int) -> Assessment:
    needed = [
        msgspec.structs.replace(
            base.needed[number % len(base.needed)],
            id=f"n{number}",
            datum=f"Item {number}: {base.needed[number % len(base.needed)].datum}",
        )
        for number in range(count)
    ]
    return msgspec.structs.replace(base, needed=needed)


def with_name(base: Assessment, name: str) -> Assessment:
    return msgspec.structs.replace(base, patient=msgspec.structs.replace(base.patient, name=name))
