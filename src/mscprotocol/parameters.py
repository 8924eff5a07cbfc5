"""Site parameters: each option is a named list of edits, and an edit is a path into the rules with its new value.

A path names an entry and the steps below it: `dic_isth.items.fibrinogen.rows`, `seed-covid-4x.schedule.interval.value`.
A name that stands in several files is written with its folder (`definitions/ards.when`). A step may leave out levels
where only one place fits: `EX-04.within` is `EX-04.when.within`. Edits change what is there and add nothing new, and
they are made on the files as read, so that a changed rule is checked like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pydantic import model_validator

from mscprotocol.errors import ChoiceError, KnowledgeError
from mscprotocol.knowledge_forms import Sources, Strict

FILE = "parameters.yaml"
Trees = Mapping[str, dict[str, Any]]
# No rules: nothing in these files may be edited.
_CLOSED = (FILE, "units.yaml", "sources.yaml", "orders.yaml", "override_reasons.yaml", "signature_meanings.yaml")


class Option(Strict):
    """One setting of a parameter: what it means, where it comes from, and the edits that it makes."""

    text: str
    sources: Sources
    edits: dict[str, Any] = {}


class Parameter(Strict):
    """A choice that is left to the site; the default edits nothing, so that the rules read as they apply."""

    text: str
    default: str
    options: dict[str, Option]

    @model_validator(mode="after")
    def _the_default_is_as_written(self) -> Parameter:
        if self.default not in self.options:
            raise ValueError(f"the default {self.default!r} is none of the options")
        if self.options[self.default].edits:
            raise ValueError("the default option edits nothing: write it into the rules")
        return self


def settle_choices(parameters: Mapping[str, Parameter], choices: Mapping[str, str]) -> dict[str, str]:
    """The option in force of every parameter. Raises ChoiceError for a name or option that does not exist."""
    for name, option in choices.items():
        if name not in parameters:
            raise ChoiceError(f"no parameter {name!r}; known: {', '.join(parameters)}")
        if option not in parameters[name].options:
            raise ChoiceError(f"{name} has no option {option!r}; it is one of {', '.join(parameters[name].options)}")
    return {name: choices.get(name, one.default) for name, one in parameters.items()}


def gather_edits(parameters: Mapping[str, Parameter], chosen: Mapping[str, str]) -> dict[str, Any]:
    """The edits of the options in force. Raises ChoiceError when two of them change the same place."""
    found: dict[str, Any] = {}
    for name, option in chosen.items():
        for path, value in parameters[name].options[option].edits.items():
            if path in found:
                raise ChoiceError(f"{name}={option} changes {path}, which another choice changes too")
            found[path] = value
    return found


def apply_edits(trees: Trees, edits: Mapping[str, Any]) -> None:
    """Change files in place, before they are validated. Raises ChoiceError for a path that leads nowhere."""
    for place, value in [(find_place(trees, path), value) for path, value in edits.items()]:
        place.holder[place.key] = _without_lines(value)


def check_parameters(trees: Trees, parameters: Mapping[str, Parameter]) -> None:
    """Every path of every option leads somewhere. Raises KnowledgeError that names the option."""
    for name, parameter in parameters.items():
        for option_name, option in parameter.options.items():
            for path in option.edits:
                try:
                    find_place(trees, path)
                except ChoiceError as error:
                    raise KnowledgeError(f"{name}.{option_name}: {error}", f"rules/{FILE}") from error


@dataclass(frozen=True, slots=True)
class Place:
    """One value inside a file: what holds it, and under which key or at which index."""

    holder: Any
    key: Any


def find_place(trees: Trees, path: str) -> Place:
    """The one place that a path leads to. Raises ChoiceError when there is none, or more than one."""
    head, *steps = path.split(".")
    folder, _, name = head.rpartition("/")
    entries = [entry for file, tree in trees.items() for entry in _entries(file, tree, folder, name)]
    if len(entries) != 1 or not steps:
        problem = "is in several files; write it like definitions/ards" if entries else "is no entry of the rules"
        raise ChoiceError(f"{path}: {head} {problem}" if steps else f"{path}: say what to change in {head}")
    place = _step(entries[0], steps[0], path)
    for step in steps[1:]:
        place = _step(place.holder[place.key], step, path)
    return place


def _entries(file: str, tree: dict[str, Any], folder: str, name: str) -> Iterator[Any]:
    """The entry of a name in one file: a protocol is a file, anything else stands in one."""
    if file in _CLOSED or folder not in ("", PurePosixPath(file).parts[0].removesuffix(".yaml")):
        return
    if file.startswith("protocols/"):
        if PurePosixPath(file).stem == name:
            yield tree
    elif name in tree:
        yield tree[name]


def _step(node: Any, step: str, path: str) -> Place:
    if isinstance(node, dict) and step in node:
        return Place(node, step)
    if isinstance(node, list) and step.isdigit() and int(step) < len(node):
        return Place(node, int(step))
    found = list(_below(node, step))
    if len(found) != 1:
        raise ChoiceError(f"{path}: {'several places fit' if found else 'nothing fits'} {step!r}")
    return found[0]


def _below(node: Any, step: str) -> Iterator[Place]:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and step in node:
        yield Place(node, step)
    for one in inner:
        yield from _below(one, step)


def _without_lines(value: Any) -> Any:
    """A value as plain data: it stands in another file, whose lines would mislead an error message."""
    if isinstance(value, dict):
        return {key: _without_lines(one) for key, one in value.items()}
    return [_without_lines(one) for one in value] if isinstance(value, list) else value
