"""The commands `mscprotocol rules`: for whoever owns the rules, to look at them and to prove them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.terminal import load_or_exit, print_line

rules_app = typer.Typer(no_args_is_help=True, help="Look at the rules.")


@rules_app.command("list")
def list_rules() -> None:
    """Every criterion with its role and marks."""
    knowledge = load_or_exit()
    for name, criterion in knowledge.criteria.items():
        marks = ",".join(dict.fromkeys(source.mark for source in criterion.sources))
        print_line(f"{name:8} {criterion.role:11} {criterion.stage:10} {marks:20} {criterion.text}")


@rules_app.command("show")
def show_rule(name: Annotated[str, typer.Argument(help="Criterion id.")]) -> None:
    """One criterion: its rule in words, its sources, and the durable-rules form of what it concludes."""
    knowledge = load_or_exit()
    if name not in knowledge.criteria:
        raise typer.BadParameter(f"no criterion {name!r}; see: mscprotocol rules list")
    for line in _rule_lines(knowledge, name):
        print_line(line)


def _rule_lines(knowledge: KnowledgeBase, name: str) -> Iterator[str]:
    from mscprotocol.rulesets import to_durable
    from mscprotocol.wording import describe

    criterion = knowledge.criteria[name]
    file, line = knowledge.lines[name]
    yield f"{name} ({criterion.role}, {criterion.stage}) {file}:{line}"
    yield criterion.text
    yield (
        f"Rule: {describe(knowledge, criterion.when)}"
        if criterion.when
        else f"Not computed: {criterion.not_computable}"
    )
    for source in criterion.sources:
        yield f"Source [{source.mark}]: {knowledge.sources[source.id].citation}"
        if source.quote:
            yield f'  "{source.quote}" ({source.section})'
    for protocol in knowledge.protocols:
        book = compile_rulebook(knowledge, protocol)
        ruleset = book.steps.get(book.roots.get(name, ""))
        if ruleset is not None:
            yield f"durable-rules ({protocol}), inputs in order: {'; '.join(ruleset.inputs)}"
            yield msgspec.json.format(msgspec.json.encode(to_durable(ruleset)), indent=1).decode()


@rules_app.command("check")
def check_rules() -> None:
    """Load every rule, compile every protocol, and say what stands there."""
    knowledge = load_or_exit()
    for protocol in knowledge.protocols:
        book = compile_rulebook(knowledge, protocol)
        print_line(
            f"{protocol}: {len(list(book.criteria))} criteria, {len(book.leaves)} findings, {len(book.steps)} rulesets"
        )
    print_line(f"rules {knowledge.version} sha256 {knowledge.sha256}")
