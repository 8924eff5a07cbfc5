"""For whoever runs the service: is it alive, can it serve, what does it measure, which rules does it use."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from mscprotocol.web import metrics

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Whether the process answers")
def health() -> dict[str, str]:
    """Always `ok` while the process can answer at all."""
    return {"status": "ok"}


@router.get("/readyz", summary="Whether requests can be served", responses={503: {"description": "Not ready"}})
def readiness(request: Request, response: Response) -> dict[str, Any]:
    """Whether the database answers and the rules are loaded."""
    service = request.app.state.service
    try:
        is_ready = service.database.is_ready()
    except SQLAlchemyError:
        is_ready = False
    response.status_code = 200 if is_ready else 503
    return {
        "status": "ready" if is_ready else "not ready",
        "database": is_ready,
        "rulebase": service.knowledge.sha256,
    }


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
def read_metrics() -> Response:
    """Counts and durations, without anything about a patient."""
    return Response(metrics.write(), media_type=CONTENT_TYPE_LATEST)
