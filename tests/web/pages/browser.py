"""A real browser and a real server: Chromium without a window, and the application behind a socket of this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import uvicorn
from fastapi import FastAPI

AXE = Path(__file__).resolve().parents[2] / "vendor" / "axe-core-4.14.1.min.js"
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
NO_BROWSER = "no Chromium and chromedriver here: scripts/test-extras installs them"


def has_browser() -> bool:
    """Whether Chromium and its driver are installed."""
    return bool(which("chromium") and which("chromedriver"))


@contextmanager
def serve(app: FastAPI, port: int = 0) -> Iterator[str]:
    """The address of an application that runs in a thread of this process."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [found]})
        thread.start()
        while not server.started and thread.is_alive():
            threading.Event().wait(0.02)
        try:
            yield f"http://127.0.0.1:{found.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


@contextmanager
def open_browser(profile: Path, *, scripts: bool = True) -> Iterator[Any]:
    """A browser of its own profile; `scripts` off shows pages as a browser without JavaScript does."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = which("chromium") or ""
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{argument}")
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: Any, width: int = 1280, *, dark: bool = False, height: int = 900) -> None:
    """Take the size and the colours of some device."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def violations(driver: Any) -> list[str]:
    """What axe-core finds wrong on the page, a line each."""
    driver.execute_script(AXE.read_text(encoding="utf-8"))
    found = driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {runOnly: {type: 'tag', values: arguments[0]}}).then(r => done(r.violations));",
        AXE_TAGS,
    )
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}" for one in found for node in one["nodes"]
    ]
