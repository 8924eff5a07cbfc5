"""In which form a body came, and in which forms an answer is taken: media types, encodings, qualities."""

from __future__ import annotations

import re

from fastapi import Request

from mscprotocol.web.problems import ProblemError

_ANYTHING = ("*/*", "application/*")
_NEVER = re.compile(r"q\s*=\s*0(\.0*)?")


def check_type(request: Request, known: tuple[str, ...]) -> str:
    """The media type of the body; 415 for another one, and for a body that is packed."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in known:
        raise ProblemError(415, "unsupported_media_type", f"Send {' or '.join(known)}.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ProblemError(415, "unsupported_media_type", "Send the body unpacked: no content-encoding is read.")
    return kind


class Accepted:
    """The types that a caller names as taken, and those that it refuses with a quality of 0."""

    def __init__(self, request: Request) -> None:
        self.named: list[str] = []
        self.refused: list[str] = []
        for one in request.headers.get("accept", "*/*").lower().split(","):
            kind, *parameters = (part.strip() for part in one.split(";"))
            is_refused = any(_NEVER.fullmatch(part) for part in parameters)
            (self.refused if is_refused else self.named).append(kind)

    def takes(self, *kinds: str) -> bool:
        """Whether one of some types is taken, by its name or as any."""
        is_any = any(one in self.named for one in _ANYTHING)
        return any(one in self.named or (is_any and one not in self.refused) for one in kinds)
