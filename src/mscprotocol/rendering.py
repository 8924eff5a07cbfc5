"""The printed checklist as one self-contained HTML file, and as PDF. Nothing that came with a record is markup."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mscprotocol.answer import Assessment
from mscprotocol.checklist import build_checklist
from mscprotocol.errors import MscProtocolError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.places import find_folder
from mscprotocol.plots import TimelineBar, TrendPlot, draw_timeline, draw_trend

Paper = Literal["A4", "Letter"]
_TEMPLATE, _STYLE = "checklist.html.j2", "checklist.css"
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


class RenderingError(MscProtocolError):
    """The sheet could not be made, for a reason that the user can mend."""


def render_html(answer: Assessment, knowledge: KnowledgeBase) -> str:
    """The checklist as one HTML file that loads nothing: it prints on A4 and Letter and reads on any screen."""
    template = _environment().get_template(_TEMPLATE)
    return template.render(sheet=build_checklist(answer, knowledge), style=_style())


def render_pdf(answer: Assessment, knowledge: KnowledgeBase, paper: Paper = "A4") -> bytes:
    """The checklist as PDF. Needs the extra `pdf`."""
    try:
        from weasyprint import CSS, HTML
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError) as error:  # OSError: Pango or another system library is absent
        raise RenderingError(f"PDF needs WeasyPrint ({error}): pip install mscprotocol[pdf]") from error

    class NothingFetched(URLFetcher):  # type: ignore[misc]  # weasyprint carries no types
        """Refuses every address: a sheet that asks for one holds something that is not ours."""

        def fetch(self, url: str, headers: Any = None) -> Any:
            raise ValueError(f"the checklist loads nothing, yet something asked for {url[:40]!r}")

    page = HTML(string=render_html(answer, knowledge), url_fetcher=NothingFetched(fail_on_errors=True))
    pdf: bytes = page.write_pdf(stylesheets=[CSS(string=f"@page {{ size: {paper} }}")])
    return pdf


def escape_css_string(text: str) -> Markup:
    """Text as the inside of a CSS string in a `<style>` element: all but letters and digits becomes an escape.

    Control characters become spaces, and those that reorder text are dropped: a name must not be able to turn
    the header around. What is left cannot end the string, the rule or the element.
    """
    return Markup("".join(_escape_css_character(character) for character in text))  # noqa: S704 - escaped here


def _escape_css_character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    category = unicodedata.category(character)
    if category == "Cf" and character not in _JOINERS:
        return ""
    if category in ("Cc", "Cs", "Zl", "Zp"):
        character = " "
    return character if not character.isascii() and category != "Cf" else f"\\{ord(character):x} "


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(find_folder("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["css_string"] = escape_css_string
    environment.filters["trend_plot"] = _trend_markup
    environment.filters["timeline_plot"] = _timeline_markup
    return environment


@lru_cache(maxsize=1)
def _style() -> Markup:
    return Markup((find_folder("templates") / _STYLE).read_text(encoding="utf-8"))  # noqa: S704 - our own file


def _trend_markup(plot: TrendPlot) -> Markup:
    return Markup(draw_trend(plot))  # noqa: S704 - every text in it is escaped by plots


def _timeline_markup(bars: tuple[TimelineBar, ...]) -> Markup:
    return Markup(draw_timeline(bars))  # noqa: S704 - every text in it is escaped by plots
