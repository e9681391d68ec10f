"""What a server says to the history when it starts: configuration, playbooks, agents that are gone."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from coldaisle.core.detect import REACTION_MEANING
from coldaisle.core.errors import ConfigError, StoreFull
from coldaisle.core.events import decode, encode, encode_body, new_id, stream_of
from coldaisle.core.events.types import AgentDisconnected, AnyEvent, PlaybookPublished, ServerStarted
from coldaisle.core.store import EventStore
from coldaisle.core.store.reactions import Waits
from coldaisle.core.twin import Twin
from coldaisle.core.version import VERSION
from coldaisle.playbooks import Playbook, builtin_playbooks, read_playbook
from coldaisle.server.errors import ungrouped
from coldaisle.server.settings import Settings, detector_event, policies_event

MODEL_LIBRARIES = ("river", "numpy")
log = logging.getLogger(__name__)


async def announce(store: EventStore, twin: Twin, settings: Settings, playbooks: Iterable[Playbook]) -> None:
    """Append that the server started, and what changed since the history last said it."""
    bodies: list[AnyEvent] = [ServerStarted(socket.gethostname(), VERSION)]
    bodies += [
        AgentDisconnected(agent.id, "the server stopped") for agent in twin.agents.values() if agent.connected
    ]
    configured = (detector_event(settings.detect, model_versions()), policies_event(settings.policies))
    for said in configured:
        if await _last_said(store, stream_of(said)) != encode_body(said):
            bodies.append(said)
    for playbook in playbooks:
        known = twin.playbooks.get(playbook.id)
        if known is None or known.revision != playbook.revision:
            bodies.append(PlaybookPublished(playbook.id, playbook.revision, playbook.text))
    for body in bodies:
        now = time.time_ns()
        await store.append(stream_of(body), [encode(body, id=new_id(now), time=now, actor="server")])


def model_versions() -> dict[str, str]:
    """What the detector's answers depend on, apart from its settings: its own meaning and its libraries."""
    return {"detector": str(REACTION_MEANING)} | {name: version(name) for name in MODEL_LIBRARIES}


async def retried(work: Callable[[], Awaitable[None]], name: str) -> None:
    """Do ``work``, anew whenever the store was full.

    For runs that is what a crash would lead to: steps under way are probed, none is taken twice.
    """
    waits = Waits()
    while True:
        try:
            with ungrouped():
                return await work()
        except StoreFull as error:
            log.warning("waits for room in the store", extra={"work": name, "error": str(error)})
            await asyncio.sleep(waits.next_seconds())


def load_playbooks(folder: str) -> list[Playbook]:
    """The built-in playbooks, and those of the folder, which win over a built-in of the same name."""
    found = {playbook.id: playbook for playbook in builtin_playbooks()}
    if folder:
        path = Path(folder)
        if not path.is_dir():
            raise ConfigError(f"serve.playbooks_dir = {folder!r} is not a folder; make it or name another")
        for file in sorted(path.glob("*.yaml")):
            playbook = read_playbook(_text(file), str(file))
            found[playbook.id] = playbook
    return list(found.values())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); make it readable") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from error


async def _last_said(store: EventStore, stream: str) -> bytes | None:
    """The newest body of the stream, as it would be written today."""
    for event in await store.read_stream(stream, backwards=True, limit=1):
        fact = decode(event)
        return encode_body(fact.body) if fact is not None else None
    return None
