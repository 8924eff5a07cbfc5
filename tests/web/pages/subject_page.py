"""The pages of one subject as tests read them and fill them in."""

from __future__ import annotations

import re
from datetime import datetime
from html import unescape
from typing import Any

from starlette.testclient import TestClient

from tests.store.test_course import Ward


def form_of(page: str, action: str) -> dict[str, str]:
    """The hidden fields of one form of a page."""
    inside = page.split(f'/course/{action}"')[1].split("</form>", maxsplit=1)[0]
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', inside))


def sign_shown(client: TestClient, path: str, shown: str, password: str = "") -> Any:
    """Sign a change that a page has shown with what it does."""
    form = shown.split('<section class="panel" aria-labelledby="effect">')[1].split("</section>", maxsplit=1)[0]
    fields = {
        name: unescape(value) for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
    }
    return client.post(path, data=fields | {"password": password})


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

    def correct(self, path: str, **fields: str) -> tuple[int, str]:
        page = self.client.get(path).text
        inside = page.split('method="post" action="/subjects')[1].split("</form>", maxsplit=1)[0]
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', inside))
        reply = self.client.post(path, data=hidden | fields)
        return reply.status_code, reply.text

    def sign(self, path: str, shown: str, password: str = "") -> Any:
        """Sign what a page has shown, as its button would."""
        return sign_shown(self.client, path, shown, password)

    def send(self, action: str, **more: object) -> tuple[int, str]:
        page = self.client.get(f"{self.base}/course").text
        fields = form_of(page, action) | more.pop("data")  # type: ignore[operator]
        reply = self.client.post(f"{self.base}/course/{action}", data=fields, **more)  # type: ignore[arg-type]
        return reply.status_code, reply.text


def local(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="minutes")
