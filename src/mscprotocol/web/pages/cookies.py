"""Cookies of the pages: no script reads them, no other site sends them, and with TLS no other host sets them."""

from __future__ import annotations

from fastapi import Response

from mscprotocol.settings import Settings

SESSION, FLASH, PENDING = "session", "flash", "login"


def name_of(settings: Settings, name: str) -> str:
    """A cookie's name: with TLS it carries the prefix that no other host and no plain page can set."""
    return f"mscprotocol_{name}" if settings.is_plain else f"__Host-mscprotocol_{name}"


def put(response: Response, settings: Settings, name: str, value: str, seconds: int | None = None) -> None:
    """Set a cookie; it ends with the browser, or after a time."""
    response.set_cookie(
        name_of(settings, name),
        value,
        max_age=seconds,
        path="/",
        secure=not settings.is_plain,
        httponly=True,
        samesite="lax",
    )


def drop(response: Response, settings: Settings, name: str) -> None:
    """Take a cookie back."""
    secure = not settings.is_plain
    response.delete_cookie(name_of(settings, name), path="/", secure=secure, httponly=True, samesite="lax")
