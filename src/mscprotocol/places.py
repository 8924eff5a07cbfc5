"""Where the project's own files are: inside an installed wheel, or beside the source of a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_HOMES = (_PACKAGE, _PACKAGE.parent.parent)


def find_folder(name: str) -> Path:
    """The folder `rules`, `templates` or `samples` that ships with this version."""
    for home in _HOMES:
        if (home / name).is_dir():
            return home / name
    raise FileNotFoundError(f"the folder {name!r} did not come with this installation; install it again")
