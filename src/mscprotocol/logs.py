"""Logs as one JSON object a line on standard error: what happened and where, never what was said of a patient."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor


def configure_logs(level: str = "INFO") -> None:
    """Send our own events and those of the libraries through one formatter.

    A record of a library keeps its place and kind; its text may quote data, so only warnings and worse keep their
    message template, without the arguments.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handler.addFilter(without_arguments)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in ("mscprotocol", "uvicorn.error"):
        logging.getLogger(name).setLevel(level)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers, logging.getLogger(name).propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True  # it writes the path that was sent


def without_arguments(record: logging.LogRecord) -> bool:
    """Keep a library's template and drop what it would fill in, the text of exceptions included."""
    if not isinstance(record.msg, dict):
        if not (record.name == "uvicorn.error" and record.levelno < logging.WARNING):  # where it listens
            record.args = ()
        if record.exc_info and record.exc_info[0] is not None:
            record.msg = f"{record.msg} [{record.exc_info[0].__name__}]"
        record.exc_info = record.exc_text = None
    return True
