"""A real browser and a real server: Chromium without a window, and the application behind a socket of this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import uvicorn
from fastapi import FastAPI

PASSWORD = "a sentence only for tests"
SIZES = (360, 1280)
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


def violations(driver: Any, rule: str | None = None) -> list[str]:
    """What axe-core finds wrong on the page, a line each; by one of its rules, or by all."""
    if not driver.execute_script("return 'axe' in window"):
        driver.execute_script(AXE.read_text(encoding="utf-8"))
    found = driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "const wanted = {runOnly: arguments[0], resultTypes: ['violations']};"
        "axe.run(document, wanted).then(found => done(found.violations));",
        {"type": "tag", "values": AXE_TAGS} if rule is None else {"type": "rule", "values": [rule]},
    )
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}" for one in found for node in one["nodes"]
    ]


def find(driver: Any, css: str) -> Any:
    return driver.find_element("css selector", css)


def named(driver: Any, name: str) -> Any:
    return driver.find_element("name", name)


def until(driver: Any, condition: Callable[[Any], Any]) -> Any:
    """Wait for a condition; what is not there yet is looked for again."""
    from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    ignored = (NoSuchElementException, StaleElementReferenceException)
    return WebDriverWait(driver, 30, poll_frequency=0.1, ignored_exceptions=ignored).until(condition)


def wait_for_verdict(driver: Any, word: str) -> None:
    until(driver, lambda one: find(one, ".verdict .word").text == word)


def follow(driver: Any, element: Any) -> None:
    """Click what leads to another page, and wait for that."""
    page = find(driver, "html")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()
    until(driver, lambda _: _is_left(page))
    until(driver, lambda one: find(one, "main"))


def _is_left(page: Any) -> bool:
    """Whether a page is gone; the driver says so in more than one way."""
    from selenium.common.exceptions import WebDriverException

    try:
        page.is_enabled()
    except WebDriverException:
        return True
    return False


def set_time(driver: Any, name: str, value: str) -> None:
    """Set a time as the browser's own picker does: what is typed into it depends on the browser's language."""
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))"
    driver.execute_script(script, named(driver, name), value)


def click(driver: Any, css: str) -> None:
    element = find(driver, css)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def log_in(driver: Any, address: str, name: str, password: str = PASSWORD) -> None:
    """Log in by the form."""
    driver.get(f"{address}/login")
    named(driver, "name").send_keys(name)
    named(driver, "password").send_keys(password)
    follow(driver, find(driver, "form[action='/login'] button"))


def check_look(driver: Any, page: str) -> None:
    """No violation that axe-core finds, and nothing to scroll sideways for: on a phone and a desk, and in the dark."""
    for width in SIZES:
        show(driver, width)
        assert violations(driver) == [], f"{page} at {width}"
        assert driver.execute_script("return document.scrollingElement.scrollWidth") <= width, page
    show(driver, SIZES[-1], dark=True)
    assert violations(driver, "color-contrast") == [], f"{page} in the dark"  # no other rule reads colours
