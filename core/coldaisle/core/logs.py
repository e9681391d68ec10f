"""Where a program's log goes: readable lines on a terminal, one JSON object a line otherwise."""

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import Processor


def configure_logging(*, light: bool = False) -> None:
    """Send every library's log through structlog to standard error.

    ``light`` is for processes that must stay small: off a terminal they do without rich.
    """
    if light and not sys.stderr.isatty():
        # structlog imports rich when it is installed, for tracebacks on a terminal: 4 MB for nothing here.
        sys.modules.setdefault("rich", None)  # type: ignore[arg-type] # None is how "not importable" is said
    import structlog

    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers()],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


def _renderers() -> "list[Processor]":
    import structlog

    if sys.stderr.isatty():
        return [structlog.dev.ConsoleRenderer()]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
