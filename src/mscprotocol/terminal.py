"""What every command shares: exit codes, and how it writes lines and loads the rules."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import typer

from mscprotocol.errors import ChoiceError, KnowledgeError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge

# Exit codes are documented in the README and never reused for another meaning.
OK, LOCKED, USAGE, DATA, RULES, INCOMPLETE, DIFFERENT, ALTERED, EXPIRED, REMOVED = range(10)


def load_or_exit(
    folder: Path | None = None, site: Path | None = None, choices: Mapping[str, str] | None = None
) -> KnowledgeBase:
    """The rules of a folder (default: those that ship); a command ends with RULES when they cannot be used.

    A choice of a site parameter that does not exist is a wrong option of the command.
    """
    try:
        return load_knowledge(folder, site, choices)
    except ChoiceError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from error
    except KnowledgeError as error:
        say(f"The rules cannot be used: {error}")
        raise typer.Exit(RULES) from error


def print_line(text: str) -> None:
    """One line to standard output."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """One line to the person at the terminal."""
    sys.stderr.write(text + "\n")
