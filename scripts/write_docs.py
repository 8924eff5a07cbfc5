"""Write the parts of the documentation that follow from the code: the list of modules, and README's session."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("src/mscprotocol", "src/mscprotocol/authoring", "fhir_adapters")
HEAD = "# Implementation\nOne sentence for each module; written by `make docs` from the modules themselves.\n"
COMMAND = "mscprotocol assess samples/one-lab-open/input.json --at 2020-04-06T10:00:00+08:00 --zone Asia/Shanghai"


def list_modules() -> str:
    """`docs/implementation.md` as it should be."""
    lines = [HEAD]
    for package in PACKAGES:
        lines += [f"## {package}", "| module | what it does |", "|---|---|"]
        for path in sorted((ROOT / package).glob("*.py")):
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            sentence = " ".join(text.split("\n\n")[0].split())
            lines.append(f"| {path.stem} | {sentence} |")
        lines.append("")
    return "\n".join(lines)


def run_session() -> str:
    """What README's example command prints."""
    words = [str(Path(sys.executable).parent / "mscprotocol"), *COMMAND.split()[1:]]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.rstrip()


def put_session(readme: str, session: str) -> str:
    """README with the session's output in its first example."""
    start = readme.index(f"$ {COMMAND}\n") + len(COMMAND) + 3
    return readme[:start] + session + "\n" + readme[readme.index("```", start) :]


if __name__ == "__main__":
    (ROOT / "docs" / "implementation.md").write_text(list_modules(), encoding="utf-8")
    page = ROOT / "README.md"
    page.write_text(put_session(page.read_text(encoding="utf-8"), run_session()), encoding="utf-8")
