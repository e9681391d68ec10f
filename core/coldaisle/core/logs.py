"""Where a program's log goes: readable lines on a terminal, one JSON object a line otherwise."""

import datetime
import logging
import sys
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

# What every record has of its own; whatever else it carries was given as ``extra``.
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """The lines that structlog would write, without its 5 MB: for processes that must stay small."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {"event": record.getMessage(), "level": record.levelname.lower()}
        line |= {"logger": record.name, "timestamp": moment.isoformat().replace("+00:00", "Z")}
        line |= {key: value for key, value in vars(record).items() if key not in _OWN_FIELDS}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=repr).decode()


def configure_logging(*, light: bool = False) -> None:
    """Send every library's log to standard error.

    ``light`` is for processes that must stay small: off a terminal they do without structlog.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if light and not sys.stderr.isatty() else _structlog_formatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


def _structlog_formatter() -> logging.Formatter:
    import structlog

    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers()],
        foreign_pre_chain=shared,
    )


def _renderers() -> "list[Processor]":
    import structlog

    if sys.stderr.isatty():
        # plain traces: the others show locals, and with them tokens, communities and keys
        plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        return [structlog.processors.format_exc_info, _visible, plain]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _visible(logger: object, method: str, event: "EventDict") -> "EventDict":
    """Escape what a terminal would obey: much of what is logged is said by devices."""
    return {
        key: _escaped(value, "\n\t" if key == "exception" else "") if isinstance(value, str) else value
        for key, value in event.items()
    }


def _escaped(text: str, kept: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode()
        for each in text
    )
