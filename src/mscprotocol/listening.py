"""The command `mscprotocol listen`: HL7 v2 over MLLP in, an answer for each patient whose data change out."""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import structlog
import typer
from sqlalchemy.exc import ArgumentError, OperationalError

from fhir_adapters.bundle import PatientBundle
from fhir_adapters.hl7v2_inbox import Inbox
from fhir_adapters.hl7v2_patients import Chart
from fhir_adapters.hl7v2_receiving import Receiver, ReceiverSettings
from fhir_adapters.mllp import Limits, MllpServer, server_tls
from fhir_adapters.record_builder import build_record
from mscprotocol.answer import Assessment, to_json
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.errors import DataError, RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.logs import configure_logs
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.service import Caller, Order, Service, now
from mscprotocol.serving import read_settings
from mscprotocol.settings import is_loopback
from mscprotocol.store import assessments, audit
from mscprotocol.store.database import open_database
from mscprotocol.store.inbox import DatabaseInbox
from mscprotocol.store.sole import Hold, alone
from mscprotocol.terminal import LOCKED, load_or_exit, say
from mscprotocol.verification import describe_reading

log = structlog.get_logger("mscprotocol.listening")
DOOR = "hl7v2"
# A message that came waits no longer than this for an assessment to make way for it.
SWITCH_SECONDS = 0.0005
_WATCH_SECONDS = 1
SENDER = Caller("hl7v2", frozenset())
MOST_ATTEMPTS = 3
Writer = Callable[[bytes], None]
# Told the id of a patient and why there is no answer.
Refuser = Callable[[str, str], None]
# What is known of a patient and the digests of the messages that said so, to an answer; None if it was given before.
Judge = Callable[[PatientBundle, list[str]], Assessment | None]


class Keeper:
    """Assesses patients by one protocol, and stores each answer that new data give."""

    def __init__(self, service: Service, protocol: str, zone: str, settings: ReceiverSettings) -> None:
        self.service, self.protocol, self.zone = service, protocol, zone
        self.reading = describe_reading(settings.zone, settings.assumed_encoding)

    def __call__(self, bundle: PatientBundle, messages: list[str]) -> Assessment | None:
        """The answer, stored with the digests of its messages; None if these data were answered, as after a restart."""
        request = Request(at=self.service.clock(), zone=self.zone)
        order = Order(self.protocol, request, DOOR, SENDER, self.reading)
        book = compile_rulebook(self.service.knowledge, self.protocol)
        answer = assess(build_record(bundle, self.service.knowledge), book, order.request)
        with self.service.database.writing() as session:
            if assessments.is_answered(session, answer):
                return None
            self.service.keep(session, answer, [assessments.refer_to(one) for one in messages], order)
        return answer

    def refuse(self, patient_id: str, code: str) -> None:
        """Write down that what is known of a patient gives no answer now: the one before no longer stands."""
        detail = {"door": DOOR, "protocol": self.protocol, "code": code}
        with self.service.database.writing() as session:
            audit.append(session, self.service.clock(), SENDER.name, "refuse", f"Patient/{patient_id}", detail)


class Reassessor:
    """Assesses patients whose data changed, each once for all that changed while it waited.

    It begins when no message came for the seconds of `quiet`, at the latest after those of `longest`: messages come in
    bursts, and what they say together is worth one answer.
    """

    def __init__(
        self, judge: Judge, write: Writer, refuse: Refuser = lambda *_: None, *, quiet: float = 1, longest: float = 15
    ) -> None:
        self._judge, self._write, self._refuse = judge, write, refuse
        self._failed: dict[int, int] = {}
        self._quiet, self._longest = quiet, longest
        self._waiting: dict[int, Chart] = {}
        self._changed = asyncio.Event()
        self._is_ending = False

    def note(self, chart: Chart) -> None:
        """Remember that a patient's data changed."""
        self._waiting[chart.number] = chart
        self._changed.set()

    async def run(self, receiver: Receiver) -> None:
        """Assess whoever waits, until `end` is called and nobody waits any more."""
        while not self._is_ending or self._waiting:
            await self._changed.wait()
            await self._settle()
            for number in tuple(self._waiting):
                await self._assess(self._waiting.pop(number), receiver)

    async def _settle(self) -> None:
        until = asyncio.get_running_loop().time() + self._longest
        while not self._is_ending and (left := until - asyncio.get_running_loop().time()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(self._quiet, left))
            except TimeoutError:
                return

    def end(self) -> None:
        """Let `run` return when its work is done."""
        self._is_ending = True
        self._changed.set()

    async def _assess(self, chart: Chart, receiver: Receiver) -> None:
        try:
            known = await receiver.known_of(chart)
            answer = None if known is None else await asyncio.to_thread(self._judge, *known)
        except DataError as error:
            await self._tell(chart, error.code, str(error))
            return
        except Exception as error:  # noqa: BLE001 - one patient must not end the listener
            await self._try_again(chart, type(error).__name__)
            return
        self._failed.pop(chart.number, None)
        if answer is not None:
            log.info("patient assessed", patient=chart.number, messages=len(chart.messages), verdict=answer.verdict)
            self._write(to_json(answer))

    async def _try_again(self, chart: Chart, kind: str) -> None:
        """A few times, for a database may have been busy; then a line says that there is no answer."""
        self._failed[chart.number] = self._failed.get(chart.number, 0) + 1
        log.error("patient not assessed", patient=chart.number, error=kind, attempt=self._failed[chart.number])
        if self._failed[chart.number] < MOST_ATTEMPTS:
            self.note(chart)
        else:
            text = "the assessment failed; it is tried again with the next message, and the log says why"
            await self._tell(chart, "internal_error", text)

    async def _tell(self, chart: Chart, code: str, text: str) -> None:
        """An answer that could not be given, named as good ones are: the one before no longer stands."""
        self._failed.pop(chart.number, None)
        # In the log a chart's number is all that may name a patient.
        log.warning("patient not assessed", patient=chart.number, code=code)
        said = {"patient": {"id": chart.patient_id}, "error": {"code": code, "message": text}}
        self._write(msgspec.json.encode(said))
        try:
            await asyncio.to_thread(self._refuse, chart.patient_id, code)
        except Exception as error:  # noqa: BLE001 - the line is out; what cannot be stored is said in the log
            log.error("refusal not stored", patient=chart.number, error=type(error).__name__)


def listen_command(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 2575,
    protocol: Annotated[str, typer.Option(help="Protocol id.")] = "seed-covid-4x",
    zone: Annotated[
        str | None,
        typer.Option(
            help="IANA zone in which senders write times without one; MSCPROTOCOL_ZONE if left out, else none."
        ),
    ] = None,
    charset: Annotated[str, typer.Option(help="Character set of messages whose MSH-18 is empty, as in MSH-18.")] = "",
    production: Annotated[
        bool | None, typer.Option("--production/--test", help="Whether only messages with MSH-11 P are taken.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate of this server (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="Who signs the certificates of senders (PEM).")] = None,
    unprotected: Annotated[
        bool, typer.Option("--unprotected", help="Listen beyond this machine without certificates of senders.")
    ] = False,
    max_bytes: Annotated[int, typer.Option(help="Longest message.", min=1024)] = Limits().max_bytes,
    site: Annotated[
        Path | None,
        typer.Option(help="The site's own upper limits and product codes (YAML); MSCPROTOCOL_SITE_FILE if left out."),
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="Where messages and answers are kept; the setting if left out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the answers, one JSON a line; else the terminal.")] = None,
) -> None:
    """Take HL7 v2 messages over MLLP and assess each patient anew when its data change, until stopped."""
    tls = _tls(tls_cert, tls_key, tls_client_ca)
    _refuse_open(host, is_mutual=tls_client_ca is not None, unprotected=unprotected)
    installation = read_settings()
    if zone is None and "zone" in installation.model_fields_set:  # its default only shows times
        zone = installation.zone
    settings = ReceiverSettings(
        is_production=installation.production if production is None else production,
        zone=_zone(zone),
        assumed_encoding=charset,
    )
    knowledge = load_or_exit(site=site or installation.site_file)
    if protocol not in knowledge.protocols:
        raise typer.BadParameter(f"no protocol {protocol!r}; known: {', '.join(knowledge.protocols)}")
    configure_logs()
    sys.setswitchinterval(SWITCH_SECONDS)
    with _service(knowledge, database or installation.database_url) as (service, hold), _Answers(out) as write:
        inbox = DatabaseInbox(service.database, service.clock, hold.confirm)
        keeper = Keeper(service, protocol, zone or "UTC", settings)
        reassessor = Reassessor(keeper, write, keeper.refuse)
        asyncio.run(_listen(inbox, settings, reassessor, (host, port, tls), Limits(max_bytes=max_bytes), hold))
    if hold.is_lost:
        say("The database server let go of this listener: begin it anew. What was answered AA is kept.")
        raise typer.Exit(LOCKED)


@contextmanager
def _service(knowledge: KnowledgeBase, url: str) -> Iterator[tuple[Service, Hold]]:
    """The service over a database with the present tables, which this process alone listens for."""
    try:
        database = open_database(url)
        database.migrate()
    except (ValueError, ArgumentError, OperationalError) as error:
        text = "the database cannot be opened: write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
        raise typer.BadParameter(text, param_hint="--database") from error
    try:
        with alone(database, "listen") as hold:
            yield Service(knowledge, database), hold
    except RequestError as error:
        if error.code != "locked":
            raise
        say("Another listener has this database: send all messages to its port, or give this one its own --database.")
        raise typer.Exit(LOCKED) from error
    finally:
        database.close()


async def _listen(
    inbox: Inbox,
    settings: ReceiverSettings,
    reassessor: Reassessor,
    where: tuple[str, int, ssl.SSLContext | None],
    limits: Limits,
    hold: Hold,
) -> None:
    receiver = Receiver(inbox, settings, now, reassessor.note)
    server = MllpServer(receiver, limits)
    host, port, tls = where
    try:
        bound = await server.start(host, port, tls)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen on {host}:{port}: {error.strerror}", param_hint="--port") from error
    stopped = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, stopped.set)
    log.info("listening", host=host, port=bound, tls=tls is not None)
    worker = asyncio.create_task(reassessor.run(receiver))
    while not stopped.is_set() and not hold.is_lost:
        with suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), _WATCH_SECONDS)
    log.info("stopping: what has begun is answered, who waits is assessed")
    await server.close()
    reassessor.end()
    await worker


class _Answers:
    """Where answers go, one line each, written out at once."""

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._file: Any = sys.stdout.buffer

    def __enter__(self) -> Writer:
        if self._out is not None:
            try:
                self._file = self._out.open("ab")
            except OSError as error:
                raise typer.BadParameter(f"cannot write {self._out}: {error.strerror}", param_hint="--out") from error
        return self._write

    def __exit__(self, *_: object) -> None:
        if self._out is not None:
            self._file.close()

    def _write(self, line: bytes) -> None:
        self._file.write(line.rstrip(b"\n") + b"\n")
        self._file.flush()


# -- options ---------------------------------------------------------------------------------------


def _tls(certificate: Path | None, key: Path | None, client_authorities: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None and client_authorities is None:
        return None
    if certificate is None or key is None:
        raise typer.BadParameter("TLS needs both --tls-cert and --tls-key", param_hint="--tls-cert")
    try:
        return server_tls(certificate, key, client_authorities)
    except (OSError, ssl.SSLError) as error:
        text = "the certificate or key cannot be used: give PEM files that belong together, without a passphrase"
        raise typer.BadParameter(text, param_hint="--tls-cert") from error


def _refuse_open(host: str, *, is_mutual: bool, unprotected: bool) -> None:
    if is_loopback(host) or is_mutual or unprotected:
        return
    text = (
        f"{host} is reached from other machines: have senders show a certificate (--tls-cert, --tls-key and "
        "--tls-client-ca), listen on 127.0.0.1 behind a tunnel, or say --unprotected"
    )
    raise typer.BadParameter(text, param_hint="--host")


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise typer.BadParameter(f"no time zone named {name!r}; write it like Europe/Berlin") from error
