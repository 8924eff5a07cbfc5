"""YAML as data with lines: every number stays as it is written, so no value passes through a float.

Plain scalars are text, but for whole numbers, true, false and null; `no`, `1:30` and `010` are what they look like.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


class YamlError(ValueError):
    """A file that is not the YAML mapping that it should be; `line` counts from 1."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


class YamlMapping(dict[str, Any]):
    """A mapping of a file that knows the line of each of its keys; lists inside know theirs."""

    lines: dict[str, int]

    def line_of(self, place: Sequence[str | int]) -> int:
        """The line of the deepest step of a place that the file really has."""
        line, node = 1, self
        for step in place:
            found = _step(node, step)
            if found is None:
                continue  # a place may also name forms, which are not in the file
            line, node = found
        return line


class YamlList(list[Any]):
    """A list of a file that knows the line of each of its items."""

    lines: list[int]


def read_yaml(text: str, *, is_ours: bool = False) -> YamlMapping:
    """The mapping that a file holds. Raises YamlError with the line for anything else, duplicate keys included.

    Only files of our own may use aliases: nested ones can grow without bound.
    """
    try:
        if not is_ours and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_LOADER)):
            raise YamlError("aliases are not allowed here", None)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(error.problem or "not YAML", None if mark is None else mark.line + 1) from error
    except yaml.YAMLError as error:
        raise YamlError("not YAML", None) from error
    value = None if node is None else _build(node)
    if not isinstance(value, YamlMapping):
        raise YamlError("must be a mapping", 1)
    return value


def _step(node: Any, step: str | int) -> tuple[int, Any] | None:
    if isinstance(node, YamlMapping) and step in node:
        return node.lines[str(step)], node[str(step)]
    if isinstance(node, YamlList) and isinstance(step, int) and step < len(node):
        return node.lines[step], node[step]
    return None


def _build(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node)
    if isinstance(node, yaml.SequenceNode):
        items = YamlList(_build(item) for item in node.value)
        items.lines = [item.start_mark.line + 1 for item in node.value]
        return items
    assert isinstance(node, yaml.ScalarNode)
    return _build_scalar(node)


def _build_mapping(node: yaml.MappingNode) -> YamlMapping:
    mapping = YamlMapping()
    mapping.lines = {}
    for key_node, value_node in node.value:
        key = key_node.value
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise YamlError("a key must be plain text", line)
        if key in mapping:
            raise YamlError(f"the key {key!r} stands twice", line)
        mapping[key] = _build(value_node)
        mapping.lines[key] = line
    return mapping


def _build_scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if node.style:
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else text
