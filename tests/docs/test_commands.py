"""Commands that the documentation shows: each exists with its options, and each call of the server is answered."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
from starlette.testclient import TestClient

from mscprotocol.cli import app
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.web.app import create_app
from tests.databases import new_database

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def shown(program: str) -> Iterator[list[str]]:
    """The words of each command of a program in the pages; comments and what follows a pipe are left out."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(rf"^(?: {{4}}|\$ ){program} (.*)$", text, re.M):
            yield shlex.split(line.split("  #")[0].split(" | ")[0], comments=True)


CALLS = [words for words in shown("curl") if any("127.0.0.1:8470" in word for word in words)]


@pytest.mark.parametrize("words", list(shown("mscprotocol")), ids=" ".join)
def test_a_command_exists_with_its_options(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, "a command is missing"
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= options


@pytest.fixture(scope="module")
def client(knowledge: KnowledgeBase) -> Iterator[TestClient]:
    settings = Settings(database_url="sqlite://")
    served = create_app(settings, Service(knowledge, new_database()))
    with TestClient(served, base_url="http://127.0.0.1") as opened:
        yield opened


def test_there_are_calls_for_rest_fhir_and_cds_hooks() -> None:
    assert {part for words in CALLS for part in ("/api/v1/", "/fhir/", "/cds-services") if part in " ".join(words)} == {
        "/api/v1/", "/fhir/", "/cds-services",
    }  # fmt: skip


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_a_call_is_answered(client: TestClient, words: list[str]) -> None:
    """As curl would send it: `-H`, `--data-binary @FILE`, and an address."""
    headers, content, address = {}, None, ""
    rest = iter(words)
    for word in rest:
        if word == "-H":
            name, _, value = next(rest).partition(":")
            headers[name.strip()] = value.strip()
        elif word == "--data-binary":
            content = (ROOT / next(rest).removeprefix("@")).read_bytes()
        else:
            address = word
    parts = urlsplit(address)
    reply = client.request(
        "GET" if content is None else "POST", f"{parts.path}?{parts.query}", headers=headers, content=content
    )
    assert reply.status_code == 200, reply.text
