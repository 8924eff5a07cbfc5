"""The commands `mscprotocol protocols`: which protocols there are, and every fact of one with its mark."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mscprotocol.protocol_cards import render_card, render_list
from mscprotocol.terminal import load_or_exit, print_line

protocols_app = typer.Typer(no_args_is_help=True, help="Look at the protocols of the paper.")


@protocols_app.command("list")
def list_protocols() -> None:
    """Every protocol: indication, dose levels, infusions, and whether patients are assessed by it."""
    sys.stdout.write(render_list(load_or_exit(), colour=sys.stdout.isatty()))


@protocols_app.command("show")
def show_protocol(name: Annotated[str, typer.Argument(help="Protocol id.")]) -> None:
    """One protocol: its criteria, dose and infusions, and each fact with its source and mark."""
    knowledge = load_or_exit()
    card = knowledge.protocols.get(name) or knowledge.information.get(name)
    if card is None:
        raise typer.BadParameter(f"no protocol {name!r}; see: mscprotocol protocols list")
    for line in render_card(card, knowledge):
        print_line(line)
