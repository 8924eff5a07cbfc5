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

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.logs import configure_logs
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.store.database import open_database
from mscprotocol.web import api, cds_hooks, fhir_operations, operations, problems, smart
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
    app = create_app(Settings())
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
