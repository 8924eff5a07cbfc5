"""The rule book holds every rule, loads nothing, and can be signed."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mscprotocol.case_tables import read_rows
from mscprotocol.cli import app
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.terminal import OK
from tests.rules.small import write_rules

KNOWLEDGE = load_knowledge()


class Page(HTMLParser):
    """What of a page is looked at: ids, links, tags and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.tags: Counter[str] = Counter()
        self.loaded: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.ids.update([said["id"]] if "id" in said else [])
        self.links += [said["href"]] if tag == "a" else []
        self.loaded += [said[name] for name in ("src", "srcset", "data") if name in said]
        self.loaded += [said["href"]] if tag == "link" else []

    def handle_data(self, data: str) -> None:
        self.text += data


def write(out: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["rules", "book", "--out", str(out), *words])
    assert result.exit_code == OK, result.output
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("book") / "book.html")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.mark.parametrize("kind", ["criteria", "definitions"])
def test_every_rule_has_its_place(kind: str, page: Page) -> None:
    assert {f"rule-{name}" for name in getattr(KNOWLEDGE, kind)} <= set(page.ids)


@pytest.mark.parametrize(("kind", "anchor"), [
    ("protocols", "protocol"), ("information", "protocol"), ("practices", "practice"), ("parameters", "parameter"),
    ("measurements", "measurement"), ("conditions", "condition"), ("sources", "source"),
])  # fmt: skip
def test_everything_else_has_its_place(kind: str, anchor: str, page: Page) -> None:
    assert {f"{anchor}-{name}" for name in getattr(KNOWLEDGE, kind)} <= set(page.ids)


def test_ids_are_unique_and_links_lead_somewhere(page: Page) -> None:
    assert [name for name, count in page.ids.items() if count > 1] == []
    assert [link for link in page.links if not link.startswith("#") or link[1:] not in page.ids] == []


def test_what_decides_the_verdict_comes_first(html: str) -> None:
    places = [html.index(f'<section id="role-{role}">') for role in ("inclusion", "exclusion", "dose")]
    assert places == sorted(places)


def test_it_loads_nothing(page: Page, html: str) -> None:
    assert page.loaded == []
    assert page.tags["script"] == page.tags["img"] == 0
    assert "url(" not in html
    assert "@import" not in html


def test_it_holds_numbers_quotes_marks_and_tests(page: Page) -> None:
    for said in ("CD105 ≥ 95%", "decrease of CD105 and CD90 for 5 days", "recalled", KNOWLEDGE.sha256):
        assert said in page.text, said


def test_it_counts_the_case_rows_of_each_rule(html: str) -> None:
    rows = read_rows(Path("tests/criteria/cases"))
    for name in ("EX-04", "COA-01"):
        section = html[html.index(f'id="rule-{name}"') :]
        number = sum(row.section == name for row in rows)
        assert number > 0
        assert f"<summary>{number} case rows</summary>" in section[: section.index("</section>")], name


def test_every_rule_can_be_signed(html: str) -> None:
    table = html[html.index('<section id="sign-off">') :]
    assert KNOWLEDGE.sha256 in table
    for name in (*KNOWLEDGE.criteria, *KNOWLEDGE.definitions):
        assert f'<td><a href="#rule-{name}">{name}</a></td>' in table, name
    assert table.count("☐") == 2 * (len(KNOWLEDGE.criteria) + len(KNOWLEDGE.definitions))
    assert '<th scope="col">Signature</th>' in table


def test_two_books_of_the_same_rules_are_the_same(html: str, tmp_path: Path) -> None:
    assert write(tmp_path / "again.html") == html


def test_nothing_in_the_rules_is_markup(tmp_path: Path) -> None:
    text = "TST-01: {role: scope, text: '<script>alert(1)</script>', sources: [{id: book, mark: read}]}"
    folder = write_rules(tmp_path, {"criteria/made.yaml": text})
    page = Page(write(tmp_path / "book.html", "--rules", str(folder)))
    assert page.tags["script"] == 0
    assert "<script>alert(1)</script>" in page.text
