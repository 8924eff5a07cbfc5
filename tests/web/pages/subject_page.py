"""The pages of one subject as tests read them and fill them in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from html import unescape
from typing import Any

from starlette.testclient import TestClient

from mscprotocol.web.pages.course_sections import STEPS
from tests.store.test_course import Ward


def form_of(page: str) -> dict[str, str]:
    """The hidden fields of the form of a page, but for the reasons of the gate."""
    return dict(re.findall(r'type="hidden" name="(token|following)" value="([^"]*)"', page))


def named(action: str, fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of a step as the page names them."""
    step = STEPS.get(action, action)
    return {name if name in ("because", "upload") else f"{step}.{name}": said for name, said in fields.items()}


def sign_shown(client: TestClient, path: str, shown: str, password: str = "") -> Any:
    """Sign a change that a page has shown with what it does."""
    form = shown.split('<section class="panel" aria-labelledby="effect">')[1].split("</section>", maxsplit=1)[0]
    fields = {
        name: unescape(value) for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
    }
    return client.post(path, data=fields | {"sign.password": password})


class Page:
    """The pages of one subject, as whoever sits at the demo sees them."""

    def __init__(self, ward: Ward, client: TestClient) -> None:
        self.ward, self.client = ward, client
        self.base = f"/subjects/{ward.subject}"

    def link_to(self, kind: str) -> str:
        """The newest entry of a kind, by its link on the course page."""
        return re.findall(
            rf'href="({self.base}/entries/[^"]+)">{kind}, entry', self.client.get(f"{self.base}/course").text
        )[0]

    def correct(self, path: str, reason: str, **fields: str) -> tuple[int, str]:
        page = self.client.get(path).text
        kind = re.findall('<section class="panel" id="s-([a-z]+)">', page)[0]
        reply = self.client.post(path, data=form_of(page) | named(kind, fields) | {"reason": reason})
        return reply.status_code, reply.text

    def sign(self, path: str, shown: str, password: str = "") -> Any:
        """Sign what a page has shown, as its button would."""
        return sign_shown(self.client, path, shown, password)

    def send(self, action: str, data: dict[str, str], **more: Any) -> tuple[int, str]:
        page = self.client.get(f"{self.base}/course").text
        reply = self.client.post(f"{self.base}/course/{action}", data=form_of(page) | named(action, data), **more)
        return reply.status_code, reply.text


def local(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="minutes")
