"""The web application: the doors put together around one service."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from threading import Thread

import typer
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from sqlalchemy.exc import SQLAlchemyError

from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.logs import configure_logs
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.service import Service
from mscprotocol.settings import PREFIX, Settings
from mscprotocol.store.database import open_database
from mscprotocol.terminal import USAGE, load_or_exit, say
from mscprotocol.web import api, cds_hooks, fhir_operations, metrics, operations, problems, smart
from mscprotocol.web.keys import KeySets
from mscprotocol.web.middleware import Guard, HeadAsGet
from mscprotocol.web.pages import doors

# Traces would carry paths, and paths carry ids.
_YOUNG_OBJECTS = 20_000
# A request that came waits no longer than this for an assessment to make way for it.
_SWITCH_SECONDS = 0.001
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "logs": False, "operation_spans": False}


def create_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """The application of one installation; its database is brought to the present tables first."""
    service = service or _open_service(settings)
    service.count = metrics.count_assessment
    service.database.migrate()
    for protocol in service.assessable:
        compile_rulebook(service.knowledge, protocol)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.database.close()

    app = FastAPI(title="mscprotocol", lifespan=lifespan, telemetry=NO_TELEMETRY, docs_url=None, redoc_url=None)
    app.state.settings, app.state.service, app.state.key_sets = settings, service, KeySets()
    problems.install(app)
    app.include_router(operations.router)
    app.include_router(smart.router)
    app.include_router(fhir_operations.router)
    cds_hooks.install(app)
    api.install(app)
    doors.install(app)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Guard, settings=settings)
    cds_hooks.allow_origins(app)
    return app


def application() -> FastAPI:
    """The application as the environment sets it: what each process of a server starts."""
    configure_logs()
    _end_with_parent()
    settings = Settings()
    app = create_app(settings, _open_or_exit(settings))
    # Rules and code stay for good: the collector need not walk through them again with every pass.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    sys.setswitchinterval(_SWITCH_SECONDS)
    return app


def _end_with_parent() -> None:
    """Have this process end in good order when the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _open_service(settings: Settings) -> Service:
    return Service(load_knowledge(None, settings.site_file), open_database(settings.database_url))


def _open_or_exit(settings: Settings) -> Service:
    """The service of an installation; what cannot be opened ends the process with a line that says what to mend."""
    try:
        knowledge = load_or_exit(site=settings.site_file)
        database = open_database(settings.database_url)
        database.migrate()
    except typer.Exit as error:
        raise SystemExit(error.exit_code) from None
    except (ValueError, SQLAlchemyError):
        # The error itself may show the password of the address.
        say(f"{PREFIX}DATABASE_URL: the database cannot be opened; it is sqlite:///FILE in a folder that is there, or")
        say("postgresql+psycopg://USER@HOST/NAME of a server that answers")
        raise SystemExit(USAGE) from None
    return Service(knowledge, database)
