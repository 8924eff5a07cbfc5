"""The printed checklist as one self-contained HTML file, and as PDF. Nothing that came with a record is markup."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from mscprotocol.answer import Assessment
from mscprotocol.checklist import build_checklist
from mscprotocol.checklist_parts import print_instant, split_at_instants
from mscprotocol.checklist_signatures import Signed, build_signatures
from mscprotocol.errors import MscProtocolError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.places import find_folder
from mscprotocol.plots import MarginStrip, TimelineBar, TrendPlot, draw_consort, draw_margin, draw_timeline, draw_trend

Paper = Literal["A4", "Letter"]
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


class RenderingError(MscProtocolError):
    """The sheet could not be made, for a reason that the user can mend."""


def render_html(
    answer: Assessment, knowledge: KnowledgeBase, signed: Sequence[Signed] = (), *, has_expired: bool = False
) -> str:
    """The checklist as one HTML file that loads nothing: it prints on A4 and Letter and reads on any screen.

    `signed` are the sign-offs of the answer, by name, meaning and time; `has_expired` says so above all else.
    """
    sheet = build_checklist(answer, knowledge)
    return fill_template("checklist", sheet=sheet, signatures=build_signatures(signed), has_expired=has_expired)


def fill_template(name: str, **values: object) -> str:
    """A page of `templates/` with the style sheet of its name, as one HTML file that loads nothing."""
    return template_environment().get_template(f"{name}.html.j2").render(style=_style(name), **values)


def render_pdf(html: str, paper: Paper = "A4") -> bytes:
    """A checklist of `render_html` as PDF. Needs the extra `pdf`."""
    try:
        from weasyprint import CSS, HTML
        from weasyprint.urls import FatalURLFetchingError, URLFetcher
    except (ImportError, OSError) as error:  # OSError: Pango or another system library is absent
        raise RenderingError(f"PDF needs WeasyPrint ({error}): pip install mscprotocol[pdf]") from error

    # No protocol is allowed, and a refusal is fatal: a sheet that asks for an address holds something not ours.
    nothing = URLFetcher(allowed_protocols=(), fail_on_errors=True)
    page = HTML(string=html, url_fetcher=nothing)
    try:
        pdf: bytes = page.write_pdf(stylesheets=[CSS(string=f"@page {{ size: {paper} }}")])
    except FatalURLFetchingError as error:  # a BaseException, which no door would turn into its own language
        raise RenderingError("the checklist loads nothing, yet something in it asked for an address") from error
    return pdf


def show_controls(text: str) -> str:
    """Text without characters that act unseen: one that reorders text could turn a number or a time around.

    Such a character is shown as a replacement character, so that a reader sees that something stood there.
    """
    return "".join(_show_character(character) for character in text)


def escape_css_string(text: str) -> Markup:
    """Text as the inside of a CSS string in a `<style>` element: all ASCII but letters and digits is escaped.

    What is left cannot end the string, the rule or the element.
    """
    return Markup("".join(_escape_css_character(one) for one in show_controls(text)))  # noqa: S704 - escaped here


def _show_character(character: str) -> str:
    category = unicodedata.category(character)
    if character.isspace() or category in ("Zl", "Zp"):
        return " "
    acts_unseen = category in ("Cc", "Cs") or (category == "Cf" and character not in _JOINERS)
    return "\N{REPLACEMENT CHARACTER}" if acts_unseen else character


def _escape_css_character(character: str) -> str:
    if not character.isascii() or character.isalnum():
        return character
    return f"\\{ord(character):x} "


def _finalize(value: object) -> object:
    return show_controls(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def template_environment() -> Environment:
    """How every template is filled: all that comes in is escaped, and no character of it acts unseen."""
    environment = Environment(
        loader=FileSystemLoader(find_folder("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["css_string"] = escape_css_string
    environment.filters["trend_plot"] = _trend_markup
    environment.filters["timeline_plot"] = _timeline_markup
    environment.filters["margin_strip"] = _margin_markup
    environment.filters["qr_code"] = _qr_markup
    environment.filters["consort_plot"] = _consort_markup
    environment.filters["clock"] = _clock_markup
    environment.filters["in_lines"] = _lines_markup
    environment.filters["local"] = _local_markup
    return environment


@lru_cache(maxsize=4)
def _style(name: str) -> Markup:
    return Markup((find_folder("templates") / f"{name}.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file


def _trend_markup(plot: TrendPlot) -> Markup:
    return Markup(draw_trend(plot))  # noqa: S704 - every text in it is escaped by plots


def _timeline_markup(bars: tuple[TimelineBar, ...]) -> Markup:
    return Markup(draw_timeline(bars))  # noqa: S704 - every text in it is escaped by plots


def _consort_markup(boxes: list[tuple[str, str]]) -> Markup:
    return Markup(draw_consort(boxes))  # noqa: S704 - every text in it is escaped by plots


def _qr_markup(code: str) -> Markup:
    """The command that verifies a sheet, to be read by a camera."""
    command = f"mscprotocol verify {code}"
    drawn: str = segno.make(command, error="m").svg_inline(
        scale=2, dark="#000", light="#fff", title="QR code", desc=command
    )
    drawn = drawn.replace("<svg ", '<svg role="img" ', 1)
    return Markup(drawn)  # noqa: S704 - squares and nothing of a record


def _lines_markup(text: str) -> Markup:
    """A text of several lines as it was typed, for a field that holds it; all else in it is shown like any text."""
    return Markup("\n").join(show_controls(line) for line in text.splitlines())


def _clock_markup(moment: datetime | str, zone: str, *, seconds: bool = False) -> Markup:
    """A time as the clocks of a zone show it, with its offset; the machine's own writing stands in the attribute."""
    aware = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    local = aware.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
    return Markup('<time datetime="{}">{}</time>').format(local, print_instant(local, seconds=seconds))


def _local_markup(text: str, zone: str) -> Markup:
    """A text of an answer, the times in it as the clocks of a zone show them."""
    return Markup("").join(
        _clock_markup(part, zone) if isinstance(part, datetime) else escape(show_controls(part))
        for part in split_at_instants(text)
    )


def _margin_markup(strip: MarginStrip) -> Markup:
    return Markup(draw_margin(strip))  # noqa: S704 - every text in it is escaped by plots
