"""The sections of a course page: one form holds the fields of every step, each named after its step.

So whatever one step says, what was typed for the others comes along with it, and can stand there again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import FormData, UploadFile

from mscprotocol.errors import DataError, RequestError
from mscprotocol.web.pages.course_fields import MisreadError

Fields = Mapping[str, str]
# The fields of an action, where they are not those of the step of its name.
STEPS = {"deviation": "infusion"}
# The steps that are about the infusion that comes next.
NUMBERED = ("lot", "dose", "infusion", "override")
STILL_TYPED = "What you typed for other steps is not recorded yet; it still stands here."
# What the page fills in by itself: alone it is nothing that somebody typed.
_FILLED_IN = frozenset(
    {"consent.given_by", "infusion.status", "infusion.volume_ml", "infusion.lot", "events.infusion", "events.point"}
    | {"override.code"}
)
_SHORTEST, _LONGEST = 16, 64


@dataclass(frozen=True)
class Failure:
    """Why a step was not done: words, the status of the answer, the step, and what is wrong with each of its fields.

    `because` are the reasons of the gate that was closed at the time in question, which is not that of the page;
    `entry` is what is on record already, and is corrected instead.
    """

    text: str
    status: int
    step: str = ""
    problems: Fields = field(default_factory=dict)
    because: Sequence[str] = ()
    entry: str = ""


def problems_of(error: RequestError | DataError, step: str) -> dict[str, str]:
    """What is wrong with the fields of a step, by their names on the page."""
    if isinstance(error, MisreadError):
        return {f"{step}.{name}": text for name, text in error.problems.items()}
    named = error.field if isinstance(error, RequestError) else ""
    return {f"{step}.{named}": str(error)} if named else {}


def read_fields(form: FormData) -> dict[str, str]:
    """What was typed, by field; a file that was chosen stands as the text of its field."""
    fields = {name: value.strip() for name, value in form.items() if isinstance(value, str)}
    fields["because"] = "\n".join(one for one in form.getlist("because") if isinstance(one, str))
    upload = form.get("upload")
    if isinstance(upload, UploadFile) and upload.size:
        try:
            text = upload.file.read().decode("utf-8")
        except UnicodeDecodeError:
            fields["lot.no_text"] = "yes"
        else:
            fields["lot.product"] = "\n".join(filter(None, (fields.get("lot.product"), text)))
    return fields


def own_fields(fields: Fields, step: str) -> dict[str, str]:
    """The fields of one step, without its name before theirs; the next infusion's number where it is about that."""
    shared = {"because": fields.get("because", "")} | ({"infusion": fields.get("following", "")})
    own = {name.removeprefix(f"{step}."): said for name, said in fields.items() if name.startswith(f"{step}.")}
    return shared | own


def other_fields(fields: Fields, done: str) -> dict[str, str]:
    """The fields of the other steps for which something was typed, passwords never."""
    typed = typed_steps(fields) - {done}
    return {
        name: said
        for name, said in fields.items()
        if name.partition(".")[0] in typed and not name.endswith(".password") and said
    }


def typed_steps(fields: Fields) -> set[str]:
    """The steps in which something was typed."""
    return {name.partition(".")[0] for name, said in fields.items() if said and _is_typed(name)}


def _is_typed(name: str) -> bool:
    return "." in name and name not in _FILLED_IN and not name.endswith((".unit", ".password"))


def read_token(fields: Fields, step: str = "") -> str:
    """The token of a page, or of one step of it. Raises RequestError for a form that no page of ours made."""
    token = fields.get("token", "")
    found = f"{token}-{step}" if step else token
    if not (len(token) >= _SHORTEST and len(found) <= _LONGEST):
        raise RequestError("invalid_request", "The form is not one of this page: open the page anew.")
    return found
