"""What an installation may set, and what it is told when it sets something that cannot be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from mscprotocol.cli import app
from mscprotocol.settings import PREFIX, Settings, is_loopback

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"host": "0.0.0.0"}, "AUTHENTICATION=required, or listen on 127.0.0.1"),  # noqa: S104
        ({"host": "msc.example.org"}, "no loopback address"),
        ({"authentication": "required"}, "SECRET_KEY"),
        (
            {"authentication": "required", "secret_key": KEY},
            "AUTHENTICATION=required needs MSCPROTOCOL_PUBLIC_URL: set it",
        ),
        ({"cds_issuers": {"https://ehr": "https://ehr/jwks"}}, "CDS_ISSUERS needs MSCPROTOCOL_PUBLIC_URL: set it"),
        ({"secret_key": "short"}, "openssl rand -hex 32"),
        ({"public_url": "https://msc.example.org"}, "AUTHENTICATION=required"),
        ({"zone": "Mars/Olympus"}, "Europe/Berlin"),
        ({"zone": "../etc/passwd"}, "Europe/Berlin"),
        ({"max_body_bytes": 0}, "greater than 0"),
        *(
            ({"public_url": address}, "like https://msc.example.org")
            for address in ("msc.example.org", "ftp://a", "https://", "https://a/?b", "https://u@a", "https://a b")
        ),
    ],
)
def test_a_wrong_setting_says_what_to_write(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(**given)
    assert says in str(raised.value)


def test_another_address_with_authentication_is_served() -> None:
    closed = {"authentication": "required", "secret_key": KEY, "public_url": "https://msc.example.org"}
    assert Settings(host="0.0.0.0", **closed).host == "0.0.0.0"  # noqa: S104


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


def test_settings_are_printed_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}SECRET_KEY", KEY)
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", "postgresql+psycopg://site:of-the-database@host/store")
    monkeypatch.setenv(f"{PREFIX}CORS_ORIGINS", "https://a.example.org, https://b.example.org")
    printed = CliRunner().invoke(app, ["settings"])
    assert printed.exit_code == 0
    assert KEY not in printed.output
    assert "of-the-database" not in printed.output
    assert "site:***@host/store" in printed.output
    assert "set (not shown)" in printed.output
    assert "https://b.example.org" in printed.output
    for name, field in Settings.model_fields.items():
        assert f"{PREFIX}{name.upper()} = " in printed.output
        assert field.description


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("PORT", "many", "PORT"), ("AUTHENTIFICATION", "required", "AUTHENTIFICATION"), ("CDS_ISSUERS", '{"a"', "JSON")],
)
def test_a_wrong_environment_ends_the_command_with_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}{name}", value)
    ended = CliRunner().invoke(app, ["settings"])
    assert (ended.exit_code, len(ended.output.splitlines())) == (2, 1)
    assert says in ended.output
