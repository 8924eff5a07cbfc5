"""The server speaks TLS itself where it is told to: over a real socket, with a certificate made here."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from mscprotocol.cli import app
from mscprotocol.settings import Settings
from tests.certificates import HOST, make_certificate
from tests.web.conftest import CLOSED, SECRET
from tests.web.live import Process, running
from tests.web.test_ending import takes_connections, wait_until

SERVE = r"running on https://127\.0\.0\.1:(\d+)"
Files = tuple[Path, Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def settings_of(files: Files, folder: Path) -> dict[str, str]:
    return {
        "database_url": f"sqlite:///{folder}/store.sqlite3",
        "tls_certificate": str(files[0]),
        "tls_key": str(files[1]),
    }


@pytest.fixture(scope="module")
def server(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    settings = settings_of(files, tmp_path_factory.mktemp("server"))
    with running(SERVE, "serve", "--port", "0", **settings) as started:
        yield started


def trusting(files: Files) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(files[0]))


def test_A1_it_serves_https_and_nothing_else(server: Process, files: Files) -> None:
    with httpx2.Client(verify=trusting(files), base_url=f"https://{HOST}:{server.port}") as client:
        answer = client.get("/cds-services")
    assert (answer.status_code, "max-age" in answer.headers["strict-transport-security"]) == (200, True)
    assert len(answer.json()["services"]) > 0
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(f"http://{HOST}:{server.port}/cds-services")
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(f"https://{HOST}:{server.port}/cds-services")  # a certificate that nobody vouches for


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "is_spoken"),
    [
        (ssl.TLSVersion.TLSv1, False),
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_A1_old_versions_of_tls_are_refused_by_the_server(
    server: Process, files: Files, version: ssl.TLSVersion, is_spoken: bool
) -> None:
    context = trusting(files)
    context.set_ciphers("ALL:@SECLEVEL=0")  # the client itself would speak them
    context.minimum_version = context.maximum_version = version
    with socket.create_connection((HOST, server.port), timeout=30) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=HOST) as spoken:
                said = spoken.version()
        except ssl.SSLError as error:
            said = error.reason
    assert (said in ("TLSv1.2", "TLSv1.3")) == is_spoken
    # Said by the server, in words or by hanging up; a client that cannot speak it says NO_PROTOCOLS_AVAILABLE.
    assert is_spoken or said in ("TLSV1_ALERT_PROTOCOL_VERSION", "UNEXPECTED_EOF_WHILE_READING")


def test_A1_with_an_authority_only_its_clients_are_served(files: Files, tmp_path: Path) -> None:
    settings = settings_of(files, tmp_path) | {"tls_client_ca": str(files[0])}
    known = trusting(files)
    known.load_cert_chain(*files)
    with running(SERVE, "serve", "--port", "0", "--workers", "2", **settings) as server:
        wait_until(lambda: takes_connections(server.port))
        address = f"https://{HOST}:{server.port}/healthz"
        with httpx2.Client(verify=known) as client:
            assert client.get(address).status_code == 200
        with httpx2.Client(verify=trusting(files)) as client, pytest.raises(httpx2.HTTPError):
            client.get(address)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tls_certificate": "c.pem"}, "belong together"),
        ({"tls_key": "k.pem"}, "belong together"),
        ({"tls_client_ca": "ca.pem"}, "TLS_CERTIFICATE"),
        ({"host": "msc.example.org", "production": True}, "TLS_CERTIFICATE"),
        ({"host": "msc.example.org", "production": True, "public_url": "http://msc.example.org"}, "PUBLIC_URL=https"),
    ],
)
def test_A1_what_would_not_be_safe_is_not_started(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(authentication="required", secret_key=SECRET, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "more", [{"public_url": "https://x"}, {"tls_certificate": "c", "tls_key": "k"}, {"host": "::1"}]
)
def test_A1_production_is_served_where_it_is(more: dict[str, str]) -> None:
    given = CLOSED | {"host": "msc.example.org", "public_url": "http://msc.example.org", "production": True}
    assert Settings(**(given | more)).production  # type: ignore[arg-type]


def test_files_that_are_none_end_the_command(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_certificate(tmp_path)
    for certificate, key in ((files[0], "no-such-file"), (files[0], other[1]), (files[1], files[0])):
        monkeypatch.setenv("MSCPROTOCOL_TLS_CERTIFICATE", str(certificate))
        monkeypatch.setenv("MSCPROTOCOL_TLS_KEY", str(key))
        ended = CliRunner().invoke(app, ["serve"])
        assert (ended.exit_code, "PEM files that belong together" in " ".join(ended.output.split())) == (2, True)
