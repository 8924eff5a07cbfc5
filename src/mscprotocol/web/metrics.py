"""Counts and durations for Prometheus: by route, outcome and protocol, never by patient."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from mscprotocol.store.tables import StoredAssessment

REGISTRY = CollectorRegistry(auto_describe=True)
REQUESTS = Histogram(
    "mscprotocol_request_seconds",
    "Duration of requests",
    ("method", "route", "status"),
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
)
ASSESSMENTS = Counter("mscprotocol_assessments", "Assessments made", ("door", "protocol", "verdict"), registry=REGISTRY)
FAILURES = Counter("mscprotocol_data_errors", "Inputs without a verdict", ("door", "code"), registry=REGISTRY)
_DOORS = (("/api/", "rest"), ("/fhir", "fhir"), ("/cds-services", "cds-hooks"))
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def name_method(method: str) -> str:
    """The method of a request; those that nobody serves share one name, so that no client can write its own."""
    return method if method in _METHODS else "other"


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """One request, by its method as `name_method` gives it."""
    REQUESTS.labels(method, route, str(status)).observe(seconds)


def count_assessment(stored: StoredAssessment) -> None:
    """One assessment that is about to be stored."""
    ASSESSMENTS.labels(stored.door, stored.protocol_id, stored.verdict).inc()


def count_failure(path: str, code: str) -> None:
    """One input that got no verdict, by the door that its path leads to."""
    FAILURES.labels(next((door for start, door in _DOORS if path.startswith(start)), "pages"), code).inc()


def write() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
