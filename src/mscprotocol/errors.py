"""What can go wrong, apart from data: bad data is a finding with a reason, never an exception.

MscProtocolError
  ├── KnowledgeError      the rule base is wrong: names file and line
  │     └── ChoiceError   a site parameter, its option, or an edit of the rules that does not exist
  ├── DataError           no verdict can be given for this input: one code, the same at every door
  ├── RequestError        what is asked cannot be served: one code, the same at every door
  └── EngineError         the inference broke its own contract: a defect of ours
"""

from __future__ import annotations


class MscProtocolError(Exception):
    """Base of every error that the project raises on purpose."""


class KnowledgeError(MscProtocolError):
    """The rule base is not fit for use."""

    def __init__(self, message: str, file: str = "", line: int | None = None) -> None:
        place = f"{file}:{line}: " if line is not None else f"{file}: " if file else ""
        super().__init__(place + message)
        self.file, self.line = file, line


class ChoiceError(KnowledgeError):
    """A choice that the rules do not offer: the caller's mistake, not that of the rules."""


class DataError(MscProtocolError):
    """No verdict can be given; `code` is one of DATA_ERROR_CODES and the text names resources, not people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        if code not in DATA_ERROR_CODES:
            raise ValueError(f"not a data error code: {code}")
        self.code = code


class RequestError(MscProtocolError):
    """What is asked cannot be served; the text says what to ask instead and never repeats what was sent.

    `field` is the field of a form that it is about, if it is about one.
    """

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code, self.field = code, field


class EngineError(MscProtocolError):
    """A ruleset concluded not exactly once, or an action failed."""


DATA_ERROR_CODES = frozenset(
    {
        "mixed_patients",
        "foreign_subject",
        "deceased",
        "incomplete_page",
        "no_patient",
        "unreadable",
        "not_a_bundle",
        "too_large",
        "no_time",
    }
)
