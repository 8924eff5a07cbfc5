"""Whether a text is a unit of UCUM, as far as units of medicine go: prefixes, powers, products and annotations.

Source: The Unified Code for Units of Measure (c/s codes), https://ucum.org/ucum.
"""

from __future__ import annotations

import re

_PREFIXED = r"(?:g|L|l|m|s|mol|eq|bar|Pa|U|\[IU\]|m\[Hg\]|m\[H2O\]|osm|Hz|W|J|K|Cel|t|kat)"
_PREFIX = r"(?:da|[YZEPTGMkhdcmunpfaz])"
_PLAIN = (
    r"(?:%|min|h|d|wk|mo|a|G|\[lb_av\]|\[in_i\]|\[ft_i\]|\[oz_av\]|\[degF\]|\[EU\]|\[pH\]|deg|[0-9]+|10[*^]-?[0-9]+)"
)
_POWER = r"(?:[+-]?[0-9])?"
_NOTE = r"(?:\{[!-z|~]+\})"
_SIMPLE = rf"(?:(?:{_PREFIX}?{_PREFIXED}|{_PLAIN}){_POWER}{_NOTE}?|{_NOTE})"
_TERM = rf"(?:{_SIMPLE}|\(/?{_SIMPLE}(?:[./]{_SIMPLE})*\))"
_UNIT = re.compile(rf"/?{_TERM}(?:[./]{_TERM})*")


def is_unit(text: str) -> bool:
    """Whether a text reads as a UCUM unit."""
    return _UNIT.fullmatch(text) is not None
