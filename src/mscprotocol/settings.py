"""What an installation sets, from environment variables `MSCPROTOCOL_…`; no secret has a default or is shown."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "MSCPROTOCOL_"
MEBIBYTE = 1024 * 1024


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Listed = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """One installation. Every field is read from the environment variable of its name with the prefix."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on; any but loopback needs authentication.")
    port: int = Field(8470, ge=0, le=65535, description="Port of the web server; 0 takes a free one.")
    public_url: str | None = Field(
        None,
        description="How clients reach the service, like https://msc.example.org; the audience of their tokens. Needed "
        "when authentication is required or CDS Hooks clients are listed.",
    )
    tls_certificate: Path | None = Field(
        None, description="Certificate chain (PEM): the server speaks TLS 1.2 or newer itself; else a proxy has to."
    )
    tls_key: Path | None = Field(None, description="The key of the certificate (PEM), without a passphrase.")
    tls_client_ca: Path | None = Field(
        None,
        description="Who signs the certificates of clients (PEM); only they are served then, in browsers too.",
    )
    database_url: str = Field(
        "sqlite:///mscprotocol.sqlite3", description="SQLite, or PostgreSQL as postgresql+psycopg://user@host/name."
    )
    zone: str = Field("UTC", description="IANA zone of the site: times are shown in it.")
    site_file: Path | None = Field(None, description="The site's own upper limits of normal and product codes (YAML).")
    authentication: Literal["off", "required"] = Field(
        "off", description="`off` serves whoever reaches a loopback address; any other address refuses to start so."
    )
    production: bool = Field(False, description="Refuse messages and tokens that say they are for tests.")
    secret_key: SecretStr | None = Field(
        None, description="At least 32 random bytes, as text: signs sessions; needed when authentication is required."
    )
    session_idle_minutes: int = Field(30, gt=0, description="A person who does nothing for so long is logged out.")
    session_hours: int = Field(12, gt=0, description="After so long a person logs in again.")
    lockout_failures: int = Field(5, gt=0, description="Failed logins of one person before the name is locked.")
    lockout_address_failures: int = Field(30, gt=0, description="Failed logins from one address before it is locked.")
    lockout_minutes: int = Field(15, gt=0, description="How long a name or an address stays locked.")
    oidc_issuer: str | None = Field(None, description="OpenID Connect provider, like https://login.example.org.")
    oidc_client_id: str | None = Field(None, description="What the provider calls this installation.")
    oidc_client_secret: SecretStr | None = Field(None, description="The secret that the provider gave for it.")
    oidc_roles_claim: str = Field("groups", description="Claim of the ID token that lists a person's groups.")
    oidc_roles: dict[str, str] = Field(
        {}, description='Groups of the provider to roles here, as JSON: {"msc-coordinators": "coordinator"}.'
    )
    keep_days: int | None = Field(
        None,
        ge=1,
        description="Days after which `records expire` removes assessments that programs asked for and no person "
        "signed or recorded anything on; not set, they are kept for good.",
    )
    max_body_bytes: int = Field(64 * MEBIBYTE, gt=0, description="Largest request body.")
    max_line_bytes: int = Field(16 * MEBIBYTE, gt=0, description="Largest line of a batch: one patient's record.")
    request_seconds: float = Field(30, gt=0, description="Longest time that one request may take.")
    requests_per_minute: int = Field(600, ge=0, description="For one client; 0 sets no limit.")
    cors_origins: Listed = Field((), description="Origins of web pages that may call the API, separated by commas.")
    cds_issuers: dict[str, str] = Field(
        {},
        description='CDS Hooks clients: issuer to the address of its keys, as JSON: {"https://ehr": "https://…/jwks"}.',
    )
    cds_tenants: dict[str, str] = Field(
        {}, description="The tenant that the tokens of a CDS Hooks client must state, by issuer, as JSON."
    )
    fhir_servers: Listed = Field(
        (), description="FHIR servers that missing prefetch may be read from, separated by commas."
    )

    _lists = field_validator("cors_origins", "fhir_servers", mode="before")(_split)

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, ZoneInfoNotFoundError) as error:
            raise ValueError(f"no time zone named {name!r}; write it like Europe/Berlin") from error
        return name

    @field_validator("public_url")
    @classmethod
    def _is_address(cls, address: str | None) -> str | None:
        if address is None:
            return None
        parts = urlsplit(address)
        is_plain = not (parts.query or parts.fragment or "@" in parts.netloc) and address.isprintable()
        if parts.scheme not in ("http", "https") or not parts.hostname or " " in address or not is_plain:
            raise ValueError("write an address like https://msc.example.org, with nothing behind its path")
        return address

    @field_validator("secret_key")
    @classmethod
    def _is_long(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < 32:
            raise ValueError("too short: take at least 32 characters, like those of `openssl rand -hex 32`")
        return key

    @field_validator("cds_issuers")
    @classmethod
    def _keys_come_safely(cls, issuers: dict[str, str]) -> dict[str, str]:
        for address in issuers.values():
            check_address(address)
        return issuers

    @model_validator(mode="after")
    def _open_only_on_loopback(self) -> Self:
        if self.authentication == "off" and not is_loopback(self.host):
            raise ValueError(
                f"{PREFIX}HOST is no loopback address: set {PREFIX}AUTHENTICATION=required, or listen on 127.0.0.1"
            )
        if self.authentication == "off" and self.public_url and not is_loopback(_host_of(self.public_url)):
            raise ValueError(
                f"{PREFIX}PUBLIC_URL says that others reach the service: set {PREFIX}AUTHENTICATION=required"
            )
        if self.authentication == "required" and self.secret_key is None:
            raise ValueError(f"{PREFIX}AUTHENTICATION=required needs {PREFIX}SECRET_KEY")
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"{PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY belong together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError(f"{PREFIX}TLS_CLIENT_CA needs {PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY")
        if self.production and not is_loopback(self.host) and not self.is_https:
            raise ValueError(
                f"in production {PREFIX}HOST is served by https only: set {PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY, "
                f"or {PREFIX}PUBLIC_URL=https://… where a proxy ends TLS"
            )
        return self

    @model_validator(mode="after")
    def _tokens_have_an_audience(self) -> Self:
        # Where tokens are demanded, their audience is what this installation says, never what a caller says.
        for name, is_set in (
            ("AUTHENTICATION=required", self.authentication == "required"),
            ("CDS_ISSUERS", self.cds_issuers),
        ):
            if is_set and not self.public_url:
                text = "set it to how clients reach the service, like https://msc.example.org"
                raise ValueError(f"{PREFIX}{name} needs {PREFIX}PUBLIC_URL: {text}")
        return self

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> Self:
        if self.oidc_issuer is None:
            return self
        if self.oidc_client_id is None or not self.oidc_roles:
            raise ValueError(f"{PREFIX}OIDC_ISSUER needs {PREFIX}OIDC_CLIENT_ID and {PREFIX}OIDC_ROLES")
        check_address(self.oidc_issuer)
        return self

    @property
    def is_https(self) -> bool:
        """Whether clients reach the service by TLS: its own, or that of a proxy before it."""
        return self.tls_certificate is not None or (self.public_url or "").startswith("https:")

    @property
    def is_plain(self) -> bool:
        """Whether browsers reach the pages without TLS: on this machine only."""
        return is_loopback(self.host) and not self.is_https


def check_address(address: str) -> str:
    """An address that keys or people may come from: by https, or on this machine. Raises ValueError for others."""
    parts = urlsplit(address)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not is_safe or not parts.hostname or "@" in parts.netloc or parts.fragment or not address.isprintable():
        raise ValueError(f"{address!r}: write an address that begins with https://, without a user in it")
    return address


def _host_of(address: str) -> str:
    return urlsplit(address).hostname or ""


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
