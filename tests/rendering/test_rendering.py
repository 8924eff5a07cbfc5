"""The sheet as a file: one piece, inert, in order, and identified on every printed page."""

from __future__ import annotations

import io
import re
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import tinycss2
from jinja2 import StrictUndefined
from markupsafe import Markup
from pypdf import PdfReader

from mscprotocol import rendering
from mscprotocol.answer import Assessment
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rendering import RenderingError, escape_css_string, render_html, render_pdf, show_controls
from tests.rendering.conftest import HOSTILE, hostile, make_answer, with_many_needs, with_name

FORBIDDEN = re.compile(r"\b(recommend\w*|approv\w*|give)\b", re.IGNORECASE)
OPEN_HEAD = "Open item, code to order"


class Page(HTMLParser):
    """The elements of a file, its visible text, and the text of its style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.style = ""
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[len(self._open) - 1 - self._open[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            self.style += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def section(html: str, name: str) -> str:
    return html.split(f'<section id="{name}">')[1].split("</section>", maxsplit=1)[0]


def margin_texts(style: str) -> dict[str, str]:
    """The strings that the last @page rule puts into each margin box, as a CSS parser reads them."""
    pages = [rule for rule in tinycss2.parse_stylesheet(style) if getattr(rule, "at_keyword", "") == "page"]
    boxes = tinycss2.parse_declaration_list(pages[-1].content, skip_whitespace=True)
    found = {}
    for box in boxes:
        (content,) = tinycss2.parse_declaration_list(box.content, skip_whitespace=True)
        found[box.at_keyword] = "|".join(token.value for token in content.value if token.type == "string")
    return found


# -- one file --------------------------------------------------------------------------------------


def test_the_file_loads_nothing(answer: Assessment, knowledge: KnowledgeBase) -> None:
    html = render_html(answer, knowledge)
    page = Page(html)
    assert not [tag for tag, attributes in page.tags if {"src", "href", "action", "data", "poster"} & set(attributes)]
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    assert "http" not in html.replace("http-equiv", "")
    assert "url(" not in page.style
    assert "@import" not in page.style
    policy = next(attributes for tag, attributes in page.tags if attributes.get("http-equiv"))
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_the_sections_stand_in_order_and_open_items_come_first(
    undetermined: Assessment, knowledge: KnowledgeBase
) -> None:
    html = render_html(undetermined, knowledge)
    names = re.findall(r'<section id="(\w+)">', html)
    assert names == ["summary", "criteria", "coagulopathy", "trend", "dose", "schedule", "infusions", "legend"]
    summary = section(html, "summary")
    assert (
        summary.index("Undetermined")
        < summary.index(OPEN_HEAD)
        < summary.index("Reasons against")
        < summary.index("Warnings")
    )


def test_every_criterion_is_in_the_file(answer: Assessment, knowledge: KnowledgeBase) -> None:
    text = Page(section(render_html(answer, knowledge), "criteria")).text
    assert not [one.id for one in answer.criteria if one.id not in text]


def test_every_drawing_is_well_formed_and_described(answer: Assessment, knowledge: KnowledgeBase) -> None:
    drawings = re.findall(r"<svg.*?</svg>", render_html(answer, knowledge), re.DOTALL)
    assert len(drawings) == 6 + bool(answer.schedule)  # five signals, the schedule, the code
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)  # noqa: S314 - our own drawing
        assert root.findtext("title")
        assert root.findtext("desc")


def test_no_word_of_a_treatment_decision(answer: Assessment, knowledge: KnowledgeBase) -> None:
    assert FORBIDDEN.search("Approved: give") is not None
    found = FORBIDDEN.search(Page(render_html(answer, knowledge)).text)
    assert found is None, found


def test_no_tick_and_no_colour_for_a_verdict(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    html = render_html(eligible, knowledge)
    assert not set("✓✔☑✅") & set(html)
    assert "green" not in html


def test_draft_and_evidence_stand_on_the_sheet(answer: Assessment, knowledge: KnowledgeBase) -> None:
    page = Page(render_html(answer, knowledge))
    head = page.text[:700]
    assert "Draft for clinician review - not an order" in head
    assert knowledge.criteria["EVD-01"].text in head
    assert "Draft for clinician review - not an order" in page.style


def test_marks_are_printed_with_the_rules_they_belong_to(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    html = render_html(eligible, knowledge)
    rows = re.findall(r"<tr>.*?</tr>", section(html, "dose"), re.DOTALL)[1:]
    assert len(rows) == len(eligible.dose.lines)
    assert all('class="mark mark-' in row for row in rows)
    questions = section(html, "infusions").split('class="question"')[1:]
    assert len(questions) > 300
    assert all('class="mark mark-' in one for one in questions)


def test_boxes_have_three_states_and_room_for_initials_and_time(
    undetermined: Assessment, knowledge: KnowledgeBase
) -> None:
    for one in section(render_html(undetermined, knowledge), "infusions").split('class="question"')[1:]:
        text = Page(f"<div {one}").text
        is_number = "☐ Yes" not in (plain := text.replace("\xa0", " "))
        assert ("_____________________ initials" if is_number else "☐ Yes ☐ No ☐ Unknown") in plain
        assert "☐ Unknown" in plain
        assert "initials" in text
        assert "time" in text


def test_an_ineligible_sheet_has_no_boxes_for_infusions(ineligible: Assessment, knowledge: KnowledgeBase) -> None:
    html = render_html(ineligible, knowledge)
    assert "☐" not in section(html, "infusions")
    assert "ineligible (EX-04)" in section(html, "infusions")
    assert "Second person check" not in html


def test_a_planned_dose_asks_for_a_second_person(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    assert "Second person check" in section(render_html(eligible, knowledge), "dose")


def test_hashes_are_printed_in_full(answer: Assessment, knowledge: KnowledgeBase) -> None:
    legend = Page(section(render_html(answer, knowledge), "legend")).text
    for value in (answer.trace_sha256, answer.input_sha256, answer.rulebase.sha256, answer.rulebase.version):
        assert value in legend


def test_the_same_answer_gives_the_same_bytes(answer: Assessment, knowledge: KnowledgeBase) -> None:
    assert render_html(answer, knowledge) == render_html(answer, knowledge)


# -- text from outside is inert ---------------------------------------------------------------------


def test_hostile_text_is_shown_and_does_nothing(knowledge: KnowledgeBase) -> None:
    page = Page(render_html(hostile(), knowledge))
    assert "script" not in {tag for tag, _ in page.tags}
    assert [tag for tag, _ in page.tags].count("style") == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text


def test_hostile_text_cannot_leave_its_css_string(knowledge: KnowledgeBase) -> None:
    plain, nasty = (Page(render_html(one, knowledge)).style for one in (make_answer("undetermined"), hostile()))
    kinds = [[rule.type for rule in tinycss2.parse_stylesheet(style)] for style in (plain, nasty)]
    assert kinds[0] == kinds[1]
    assert "error" not in kinds[1]
    assert margin_texts(nasty)["top-left"].startswith(show_controls(HOSTILE))


def test_unseen_characters_are_shown_not_obeyed(knowledge: KnowledgeBase) -> None:
    html = render_html(hostile(), knowledge)
    assert "\u202e" not in html
    assert "\ufffdevil" in html
    assert show_controls("a\x00b\u2066c\u200dd\te\u2028f") == "a\ufffdb\ufffdc\u200dd e f"


@pytest.mark.parametrize(
    "text",
    ["plain", 'quote " end', "back\\slash", "</style><b>", "*/ } body {", "Ünï ☐ 张伟", "a\x00b", "\\22 ", "0a f"],
)
def test_css_strings_read_back_as_they_were(text: str) -> None:
    (token,) = tinycss2.parse_component_value_list(f'"{escape_css_string(text)}"')
    assert token.type == "string"
    assert token.value == show_controls(text)
    assert "<" not in escape_css_string(text)


def test_a_missing_name_in_the_template_is_an_error() -> None:
    assert rendering.template_environment().undefined is StrictUndefined
    assert rendering.template_environment().autoescape is True


# -- paper -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_pdf(knowledge: KnowledgeBase) -> list[str]:
    answer = with_many_needs(with_name(make_answer("undetermined"), "Zoë Ångström"), 40)
    return [page.extract_text() for page in PdfReader(io.BytesIO(render_pdf(render_html(answer, knowledge)))).pages]


def test_every_page_says_whose_it_is_and_where_it_stands(long_pdf: list[str], knowledge: KnowledgeBase) -> None:
    for number, text in enumerate(long_pdf, start=1):
        line = " ".join(text.split())
        for part in ("Zoë Ångström", "id p-0417", "born 1961-02-03", "seed-covid-4x 1.0.0", knowledge.sha256[:12]):
            assert part in line, (number, part)
        assert f"page {number} of {len(long_pdf)}" in line
        assert "Draft for clinician review - not an order" in line
        assert "valid until Tue 7 Apr 2020 00:00 +08:00" in line


def test_table_heads_repeat_on_each_page(long_pdf: list[str]) -> None:
    pages = [text for text in long_pdf if re.search(r"Item \d+:", text)]
    assert len(pages) > 2
    assert all(OPEN_HEAD in " ".join(text.split()) for text in pages)


def test_a_row_is_never_split(long_pdf: list[str]) -> None:
    for number in range(40):
        (page,) = [text for text in long_pdf if f"Item {number}:" in text]
        row = page.split(f"Item {number}:")[1].split("Item ")[0]
        assert "Unknown" in row


@pytest.mark.parametrize(("paper", "size"), [("A4", (595, 842)), ("Letter", (612, 792))])
def test_both_papers(
    paper: rendering.Paper, size: tuple[int, int], ineligible: Assessment, knowledge: KnowledgeBase
) -> None:
    pages = PdfReader(io.BytesIO(render_pdf(render_html(ineligible, knowledge), paper))).pages
    assert {(round(page.mediabox.width), round(page.mediabox.height)) for page in pages} == {size}


@pytest.mark.parametrize("address", ["file:///etc/hostname", "http://127.0.0.1:9/a.css", "data:text/css,p{}"])
def test_pdf_refuses_to_fetch(
    address: str, monkeypatch: pytest.MonkeyPatch, ineligible: Assessment, knowledge: KnowledgeBase
) -> None:
    monkeypatch.setattr(rendering, "_style", lambda _: Markup("@import url({});").format(address))
    with pytest.raises(RenderingError, match="loads nothing"):
        render_pdf(render_html(ineligible, knowledge))


def test_without_weasyprint_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, ineligible: Assessment, knowledge: KnowledgeBase
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(RenderingError, match=r"pip install mscprotocol\[pdf\]"):
        render_pdf(render_html(ineligible, knowledge))
