"""The printed QR code, read off the paper: what it says, how large it is, and that nothing stands close to it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

import pytest
from PIL import Image

from mscprotocol.rendering import template_environment
from tests.rendering.qr_reading import SIDE, read_modules, read_text

DOTS_PER_MM = 300 / 25.4
CODE = "C7E0-A47A-8737-C351"
# On black, as a screen in dark colours would be: what the code itself does not make white stays dark.
PAGE = "<style>@page {{ margin: 0 }} html {{ background: #000 }}</style>{{{{ '{code}' | qr_code }}}}"


@pytest.mark.skipif(which("pdftoppm") is None, reason="no pdftoppm here to look at a PDF with")
def test_the_printed_code_says_the_command_that_verifies_the_sheet(tmp_path: Path) -> None:
    weasyprint = pytest.importorskip("weasyprint")
    html = template_environment().from_string(PAGE.format(code=CODE)).render()
    weasyprint.HTML(string=html).write_pdf(tmp_path / "sheet.pdf")
    command = ["pdftoppm", "-r", "300", "-png", "-singlefile", "sheet.pdf", "sheet"]
    subprocess.run(command, cwd=tmp_path, check=True)
    page = Image.open(tmp_path / "sheet.png").convert("L")
    inside = page.crop((20, 20, page.width - 20, page.height - 20))
    white = inside.crop(inside.point(lambda one: 255 if one > 128 else 0).getbbox())
    assert read_text(read_modules(white)) == f"mscprotocol verify {CODE}"
    left, top, right, bottom = white.point(lambda one: 255 if one < 128 else 0).getbbox() or (0, 0, 0, 0)
    assert min(right - left, bottom - top) >= 15 * DOTS_PER_MM
    module = (right - left) / SIDE
    quiet = min(left, top, white.width - right, white.height - bottom)
    assert quiet > 3.8 * module, "four modules of white on each side"
