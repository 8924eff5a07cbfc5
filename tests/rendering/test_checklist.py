"""The printable data: what is printed, in which order, and that nothing unknown is left blank."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

import msgspec
import pytest
from markupsafe import escape

from mscprotocol.answer import Assessment, GateResult
from mscprotocol.checklist import PrintedChecklist, build_checklist
from mscprotocol.checklist_parts import MARKS, REASONS, Question, Table, print_instant
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.rendering import render_html
from tests.rendering.conftest import AT, entry, make_answer, moment

UNKNOWN_WITH_REASON = re.compile(r"unknown \([^)]+|unknown: \w+")


def sheet_of(answer: Assessment, knowledge: KnowledgeBase) -> PrintedChecklist:
    return build_checklist(answer, knowledge)


def tables_of(sheet: PrintedChecklist) -> Iterator[Table]:
    for one in fields(sheet):
        value = getattr(sheet, one.name)
        if isinstance(value, Table):
            yield value


def questions_of(sheet: PrintedChecklist) -> list[Question]:
    return [one for infusion in sheet.infusions for group in infusion.groups for one in group.questions]


def test_every_reason_has_words() -> None:
    assert set(REASONS) == {reason.value for reason in Reason}


def test_every_mark_of_the_rules_is_in_the_legend(answer: Assessment, knowledge: KnowledgeBase) -> None:
    used = {source.mark for one in knowledge.criteria.values() for source in one.sources}
    assert used <= set(MARKS)
    assert [fact.label for fact in sheet_of(answer, knowledge).marks] == list(MARKS)


def test_every_criterion_is_printed_once(answer: Assessment, knowledge: KnowledgeBase) -> None:
    sheet = sheet_of(answer, knowledge)
    printed = [row.cells[0].text for table in (sheet.criteria, sheet.later) for row in table.rows]
    assert sorted(printed) == sorted(one.id for one in answer.criteria)


def test_an_unknown_criterion_says_why(undetermined: Assessment, knowledge: KnowledgeBase) -> None:
    rows = {row.cells[0].text: row for row in sheet_of(undetermined, knowledge).criteria.rows}
    assert rows["COA-01"].cells[3].text == "unknown (too old for this stage; not in the record)"
    assert rows["EX-02"].cells[3].text == "unknown (not in the record)"
    assert rows["TIM-01"].cells[3].text == "unknown (signals point in different directions)"
    assert {rows[name].tone for name in ("COA-01", "EX-02", "TIM-01")} == {"open"}


def test_no_cell_is_blank_unless_a_person_writes_in_it(answer: Assessment, knowledge: KnowledgeBase) -> None:
    cells = [cell for table in tables_of(sheet_of(answer, knowledge)) for row in table.rows for cell in row.cells]
    assert len(cells) > 200
    assert not [cell for cell in cells if not cell.text and not cell.notes and not cell.entry]


def test_each_unknown_value_carries_a_reason(answer: Assessment, knowledge: KnowledgeBase) -> None:
    sheet = sheet_of(answer, knowledge)
    texts = [cell.text for table in tables_of(sheet) for row in table.rows for cell in row.cells]
    texts += [fact.value for facts in (sheet.identity, sheet.facts, sheet.tier, sheet.dose) for fact in facts]
    texts += [question.known for question in questions_of(sheet)]
    rules = {one.text for one in answer.criteria}
    unknown = [text for text in texts if "unknown" in text and text not in rules]
    assert len(unknown) > 5
    assert not [text for text in unknown if len(UNKNOWN_WITH_REASON.findall(text)) != text.count("unknown")]


def test_a_patient_without_name_or_birth_date_is_unknown_not_blank(
    undetermined: Assessment, knowledge: KnowledgeBase
) -> None:
    nobody = msgspec.structs.replace(undetermined.patient, name="", born=None, sex=None)
    sheet = sheet_of(msgspec.structs.replace(undetermined, patient=nobody), knowledge)
    values = {fact.label: fact.value for fact in sheet.identity}
    assert values["Name"] == values["Born"] == values["Sex as recorded"] == "unknown (not in the record)"
    assert "born unknown (not in the record)" in sheet.running_identity


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("eligible", "Eligible, for clinician review"), ("undetermined", "Undetermined"), ("ineligible", "Ineligible")],
)
def test_the_verdict_is_told_in_words(verdict: str, words: str, knowledge: KnowledgeBase) -> None:
    assert sheet_of(make_answer(verdict), knowledge).verdict == words


def test_open_items_show_reason_code_effect_deadline_and_boxes(
    undetermined: Assessment, knowledge: KnowledgeBase
) -> None:
    table = sheet_of(undetermined, knowledge).open_items
    first = table.rows[0].cells
    assert first[0].text.startswith("D-dimer")
    assert [note.text for note in first[0].notes] == ["LOINC 48065-7", "needs a measurement or an order"]
    assert first[1].text == "unknown (too old for this stage)"
    assert (first[2].text, first[2].notes[0].text) == ("COA-01", "could exclude or could allow")
    assert first[3].text == "Tue 7 Apr 2020 00:00 +08:00"
    assert (first[4].entry, first[5].entry) == ("value", "sign")
    assert [note.text for note in first[4].notes] == ["as a rule in mg/L"]


@pytest.mark.parametrize(
    ("name", "entry", "printed"),
    [
        ("fibrinogen", "value", "value unit taken at as a rule in g/L"),
        ("platelets_change", "value", "value unit taken at"),
        ("sars_cov_2_test", "words", "answer seen at"),
        ("pregnancy", "boxes", "☐ Yes ☐ No ☐ Unknown"),
        ("EX-04", "boxes", "☐ Yes ☐ No ☐ Unknown"),
    ],
)
def test_an_open_item_has_room_for_the_answer_that_it_asks_for(
    undetermined: Assessment, knowledge: KnowledgeBase, name: str, entry: str, printed: str
) -> None:
    needed = [msgspec.structs.replace(undetermined.needed[0], id=name)]
    answer = msgspec.structs.replace(undetermined, needed=needed)
    assert sheet_of(answer, knowledge).open_items.rows[0].cells[4].entry == entry
    cell = render_html(answer, knowledge).split(f'entry entry-{entry}">')[1].split("</td>")[0]
    assert printed in " ".join(re.sub("<[^>]+>|&nbsp;|\xa0", " ", cell).split())


def test_a_deadline_in_utc_is_printed_in_the_zone_of_the_evaluation(
    undetermined: Assessment, knowledge: KnowledgeBase
) -> None:
    needed = [msgspec.structs.replace(undetermined.needed[0], by="2020-04-06T16:00:00+00:00")]
    sheet = sheet_of(msgspec.structs.replace(undetermined, needed=needed), knowledge)
    assert sheet.open_items.rows[0].cells[3].text == "Tue 7 Apr 2020 00:00 +08:00"


def test_reasons_against_name_the_criterion_and_its_evidence(ineligible: Assessment, knowledge: KnowledgeBase) -> None:
    rows = sheet_of(ineligible, knowledge).against.rows
    assert [row.cells[0].text for row in rows] == ["EX-04"]
    assert "Condition/9" in rows[0].cells[2].notes[0].text
    status = next(
        row.cells[2].text for row in sheet_of(ineligible, knowledge).criteria.rows if row.cells[0].text == "EX-04"
    )
    assert status == "Present: excludes"


def test_a_failed_inclusion_excludes_too(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    criteria = [
        msgspec.structs.replace(one, status="not_met") if one.id == "IND-02" else one for one in eligible.criteria
    ]
    sheet = sheet_of(msgspec.structs.replace(eligible, verdict="ineligible", criteria=criteria), knowledge)
    assert [row.cells[0].text for row in sheet.against.rows] == ["IND-02"]


def test_contradictions_and_warnings_stand_apart_from_the_statements(
    undetermined: Assessment, knowledge: KnowledgeBase
) -> None:
    sheet = sheet_of(undetermined, knowledge)
    assert [line.text.split(":")[0] for line in sheet.conflicts] == ["Observation/77", "TIM-01"]
    assert [line.text.split(":")[0] for line in sheet.warnings] == ["COA-06"]
    statements = [line.text.split(":")[0] for line in sheet.statements]
    assert statements == list(knowledge.protocols["seed-covid-4x"].statements)


def test_values_carry_unit_time_age_and_reference(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    rows = {row.cells[0].text: row for row in sheet_of(eligible, knowledge).criteria.rows}
    line = rows["IND-02"].cells[4].notes[0].text
    for part in ("91 %", "received as “0.91 1”", "Mon 6 Apr 2020 08:30 +08:00", "1.5 h old", "Observation/1"):
        assert part in line


def test_entries_that_were_not_used_say_why_and_long_lists_are_counted(
    eligible: Assessment, knowledge: KnowledgeBase
) -> None:
    stale = [entry("SpO2", "90 %", 30 + n, used=False, why_not="stale") for n in range(9)]
    criteria = [
        msgspec.structs.replace(one, evidence=stale) if one.id == "IND-02" else one for one in eligible.criteria
    ]
    sheet = sheet_of(msgspec.structs.replace(eligible, criteria=criteria), knowledge)
    notes = next(row.cells[4].notes for row in sheet.criteria.rows if row.cells[0].text == "IND-02")
    assert notes[0].text.endswith("not used: too old for this stage")
    assert notes[-1].text == "and 6 more were not used"


# -- marks -----------------------------------------------------------------------------------------


def test_every_rule_number_carries_its_mark(answer: Assessment, knowledge: KnowledgeBase) -> None:
    sheet = sheet_of(answer, knowledge)
    sources = [note for table in (sheet.criteria, sheet.later) for row in table.rows for note in row.cells[1].notes]
    scores = [note for row in sheet.scores.rows for note in row.cells[0].notes]
    marked = [*sources, *scores, *sheet.statements, *sheet.schedule_notes[:6], *questions_of(sheet), sheet.banner]
    marked += [row.cells[0] for row in sheet.signals.rows]
    marked += [row.cells[3] for row in sheet.dose_lines.rows]
    assert len(sources) > len(answer.criteria) - 1
    assert not [one for one in marked if one.mark not in MARKS]


def test_every_cited_source_is_in_the_bibliography(answer: Assessment, knowledge: KnowledgeBase) -> None:
    sheet = sheet_of(answer, knowledge)
    listed = {row.cells[0].text for row in sheet.sources.rows}
    cited = {note.text.split(",")[0] for row in sheet.criteria.rows for note in row.cells[1].notes}
    cited |= {row.cells[3].text for row in sheet.dose_lines.rows}
    assert cited
    assert cited <= listed


# -- coagulopathy, dose, schedule, infusions ---------------------------------------------------------


def test_the_panel_names_every_datum_and_the_type_of_the_d_dimer(
    undetermined: Assessment, knowledge: KnowledgeBase
) -> None:
    rows = sheet_of(undetermined, knowledge).panel.rows
    cells = {row.cells[0].text: row.cells for row in rows}
    assert cells["D-dimer"][0].notes[0].text == "type by its code: FEU"
    assert cells["D-dimer"][5].text == "not used: too old for this stage"
    assert cells["D-dimer in multiples of its upper limit of normal"][1].text == "unknown (not in the record)"
    assert {"Platelets", "Prothrombin time", "INR", "Fibrinogen"} <= set(cells)


def test_a_d_dimer_code_without_type_is_unknown(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    panel = [entry("D-dimer", "0.9 mg/L", 5, code="LOINC 7799-0")]
    tier = msgspec.structs.replace(eligible.coagulopathy, panel=panel)
    sheet = sheet_of(msgspec.structs.replace(eligible, coagulopathy=tier), knowledge)
    assert sheet.panel.rows[0].cells[0].notes[0].text == "type (FEU or DDU): unknown (its code does not say)"


def test_scores_are_ranges_when_items_are_missing(undetermined: Assessment, knowledge: KnowledgeBase) -> None:
    cells = {row.cells[0].text: row.cells for row in sheet_of(undetermined, knowledge).scores.rows}
    dic = cells["ISTH overt disseminated intravascular coagulation"]
    assert (dic[1].text, dic[3].text, dic[4].text) == ("1 to 4", "unknown: fibrin marker", "overt: not met")
    assert "D-dimer as a multiple of the laboratory's upper limit of normal: 0 to 3" in [
        note.text for note in dic[2].notes
    ]


def test_a_planned_dose_is_printed_line_by_line(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    sheet = sheet_of(eligible, knowledge)
    assert sheet.has_dose
    assert [row.cells[2].text for row in sheet.dose_lines.rows] == [line.result for line in eligible.dose.lines]
    facts = {fact.label: fact for fact in sheet.dose}
    assert facts["Weight"].value == "70.5 kg (actual)"
    assert "predicted weight 57.06 kg" in facts["Weight"].notes[1].text
    assert facts["Endotoxin"].value == "unknown (the lot does not say)"


def test_a_withheld_dose_says_why_and_shows_no_number(undetermined: Assessment, knowledge: KnowledgeBase) -> None:
    sheet = sheet_of(undetermined, knowledge)
    assert not sheet.has_dose
    assert [fact.label for fact in sheet.dose] == ["Status"]
    assert "tier is unknown" in sheet.dose[0].notes[0].text


def test_the_schedule_has_both_day_numberings_and_utc(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    rows = sheet_of(eligible, knowledge).schedule.rows
    assert [row.cells[4].text for row in rows] == ["Day 0", "Day 3", "Day 6", "Day 9"]
    assert [row.cells[5].text for row in rows] == ["Day 1", "Day 4", "Day 7", "Day 10"]
    assert rows[1].cells[2].text == "Thu 9 Apr 2020 10:00 +08:00"
    assert rows[1].cells[2].notes[0].text == "Thu 9 Apr 2020 02:00 UTC"


def test_the_reading_of_three_days_apart_is_printed(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    first = sheet_of(eligible, knowledge).schedule_notes[0]
    assert "72 h" in first.text
    assert "another reading" in first.text


def test_each_infusion_has_its_three_lists_in_full(undetermined: Assessment, knowledge: KnowledgeBase) -> None:
    sheet = sheet_of(undetermined, knowledge)
    lists = knowledge.checklists["cell-infusion"]
    assert len(sheet.infusions) == 4
    for number, infusion in enumerate(sheet.infusions, 1):
        before, during, after = infusion.groups
        assert [group.title for group in infusion.groups] == ["Before", "During", "After"]
        assert [one.text for one in during.questions] == [item.text for item in lists.during]
        asked = {one.text for one in (*before.questions, *after.questions)}
        for item in lists.before:
            wanted = {"first": number == 1, "later": number > 1, "each": True}[item.infusion]
            if item.criterion in ("EX-04", "TIM-01", "SAF-01", "PRD-02") or item.criterion is None:
                assert (item.text in asked) is wanted, item.text
        for item in lists.after:
            assert (item.text in asked) is (item.infusion == "each" or number < 4), item.text
        assert any("hold" in line.text for line in infusion.lines)


def test_every_criterion_that_decides_has_its_question(undetermined: Assessment, knowledge: KnowledgeBase) -> None:
    asked = {one.criterion for one in sheet_of(undetermined, knowledge).infusions[0].groups[0].questions}
    assert {one.id for one in undetermined.criteria if one.role in ("inclusion", "exclusion")} <= asked


def test_known_answers_stand_beside_their_question_and_unknown_ones_say_why(
    undetermined: Assessment, knowledge: KnowledgeBase
) -> None:
    sheet = sheet_of(undetermined, knowledge)
    before = sheet.infusions[0].groups[0].questions
    assert not [one for one in before if not re.match(r"record says: \S|unknown \(\S", one.known)]
    known = {one.criterion: one.known for one in before if one.criterion}
    assert known["EX-04"].startswith("record says: No")
    assert known["EX-02"] == "unknown (not in the record)"
    assert known["IND-02"] == "record says: severe; values in section 2"
    assert known["COA-01"].endswith("record says: tier unknown (at least moderate); values in section 3")
    assert known["PRD-02"] == "unknown (not asked yet)"


def test_a_present_exclusion_is_a_yes(knowledge: KnowledgeBase) -> None:
    base = make_answer("eligible")
    criteria = [msgspec.structs.replace(one, status="met") if one.id == "EX-23" else one for one in base.criteria]
    sheet = sheet_of(msgspec.structs.replace(base, criteria=criteria), knowledge)
    assert next(one.known for one in questions_of(sheet) if one.criterion == "EX-23").startswith("record says: Yes")


def test_a_line_for_a_value_has_no_yes_and_no(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    printed = render_html(eligible, knowledge).split('<div class="question">')[1:]
    lines = {one.entry: one.text for one in questions_of(sheet_of(eligible, knowledge))}
    assert set(lines) == {"yes_no", "value", "time"}
    for entry_, text in lines.items():
        line = next(one for one in printed if f"</b> {escape(text)}" in one).split("</div>")[0]
        assert ("☐&nbsp;Yes" in line) == (entry_ == "yes_no"), text
        assert "☐&nbsp;Unknown" in line, "what is not known holds the infusion, of a number too"
        assert (f"{entry_}&nbsp;___" in line) == (entry_ != "yes_no")


def test_an_infusion_that_took_place_keeps_only_the_list_after_it(
    eligible: Assessment, knowledge: KnowledgeBase
) -> None:
    given = msgspec.structs.replace(eligible.schedule[0], status="given")
    sheet = sheet_of(msgspec.structs.replace(eligible, schedule=[given, *eligible.schedule[1:]]), knowledge)
    assert [group.title for group in sheet.infusions[0].groups] == ["After"]
    assert "infused, as recorded" in sheet.infusions[0].lines[0].text


def test_an_ineligible_patient_has_no_boxes_and_is_told_why(ineligible: Assessment, knowledge: KnowledgeBase) -> None:
    sheet = sheet_of(ineligible, knowledge)
    assert sheet.infusions == ()
    assert sheet.timeline == ()
    assert "ineligible (EX-04)" in sheet.no_infusions


def test_the_gate_is_printed_when_it_was_asked(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    gate = GateResult(2, "hold", ["COA-01: unknown"])
    facts = {fact.label: fact for fact in sheet_of(msgspec.structs.replace(eligible, gate=gate), knowledge).facts}
    assert facts["Gate"].value == "hold, infusion 2"
    assert facts["Gate"].notes[0].text == "COA-01: unknown"
    assert {fact.label: fact for fact in sheet_of(eligible, knowledge).facts}[
        "Gate"
    ].value == "not assessed at the enrolment stage"


def test_only_signals_with_points_are_plotted_and_all_are_listed(answer: Assessment, knowledge: KnowledgeBase) -> None:
    sheet = sheet_of(answer, knowledge)
    assert [plot.title for plot in sheet.plots] == [
        "Oxygen support",
        "PaO2/FiO2",
        "Respiratory rate",
        "C-reactive protein",
        "Lactate",
    ]
    assert [point.text for point in sheet.plots[0].points] == ["low flow", "low flow", "hfno", "hfno"]
    assert [point.hours_before for point in sheet.plots[1].points] == [60, 40, 20, 3]
    assert len(sheet.signals.rows) == len(answer.timing.signals)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (AT.isoformat(), "Mon 6 Apr 2020 10:00 +08:00"),
        (f"{moment(24)} / {moment(0)}", "Sun 5 Apr 2020 10:00 +08:00 to Mon 6 Apr 2020 10:00 +08:00"),
        ("2020-10-25T02:30:00+01:00", "Sun 25 Oct 2020 02:30 +01:00"),
        ("2020-10-25T02:30:00", "Sun 25 Oct 2020 02:30 unknown zone"),
        ("in spring", "in spring"),
        (None, "unknown (no time)"),
    ],
)
def test_instants_are_printed_with_weekday_and_offset(text: str | None, printed: str) -> None:
    assert print_instant(text) == printed


def test_what_one_source_said_at_one_time_is_one_line_and_the_rest_is_counted(
    eligible: Assessment, knowledge: KnowledgeBase
) -> None:
    asked = [entry(f"Question {n}", "no", 1, reference="QuestionnaireResponse/1") for n in range(5)]
    labs = [entry(f"Lab {n}", "1 g/L", 2, reference=f"Observation/{n}") for n in range(9)]
    criteria = [
        msgspec.structs.replace(
            one, evidence=[*asked, *labs], because=[f"part {n}: not_met" for n in range(10)] + ["last: met"]
        )
        if one.id == "IND-02"
        else one
        for one in eligible.criteria
    ]
    sheet = sheet_of(msgspec.structs.replace(eligible, criteria=criteria), knowledge)
    cells = next(row.cells for row in sheet.criteria.rows if row.cells[0].text == "IND-02")
    assert (
        cells[4]
        .notes[0]
        .text.startswith("Question 0: no; Question 1: no; Question 2: no; Question 3: no; Question 4: no · ")
    )
    assert cells[4].notes[-1].text == "and 2 more entries were used"
    assert cells[3].notes[0].text == "last: met"
    assert cells[3].notes[-1].text == "and 3 more parts of the rule"


def test_a_lower_dose_is_a_marked_proposal_beside_a_withheld_dose(
    undetermined: Assessment, knowledge: KnowledgeBase
) -> None:
    dose = msgspec.structs.replace(undetermined.dose, reduced_proposal="Lower-dose proposal for signature")
    proposal = sheet_of(msgspec.structs.replace(undetermined, dose=dose), knowledge).proposal
    assert proposal is not None
    assert (proposal.text, proposal.mark) == ("Lower-dose proposal for signature", "site")
    assert sheet_of(undetermined, knowledge).proposal is None
