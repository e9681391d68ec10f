"""All groups of consumers of a store: kept in it, started with it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import msgspec
from grpc import StatusCode

from coldaisle.core.events import new_id
from coldaisle.core.store import EventStore
from coldaisle.server.kurrent.errors import WireRefusal, group_refusal
from coldaisle.server.kurrent.events import Proposed, to_store, wire_parts
from coldaisle.server.kurrent.groups import MAX_BUFFER_EVENTS, Group, GroupConfig

CONFIG_STREAM = "$persistentSubscriptionConfig"
CONFIG_TYPE = "$PersistentConfig"
MAX_NAME_CHARACTERS = 256

_configs = msgspec.json.Decoder(tuple[GroupConfig, ...])


class Registry:
    """The groups by stream and name. Made by :func:`running_groups`."""

    def __init__(self, store: EventStore, max_groups: int, tasks: asyncio.TaskGroup) -> None:
        self._store = store
        self._max_groups = max_groups
        self._tasks = tasks
        self._groups: dict[tuple[str, str], Group] = {}
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Start what the store remembers."""
        newest = await self._store.read_stream(CONFIG_STREAM, limit=1, backwards=True)
        for config in _configs.decode(wire_parts(newest[0])[1]) if newest else ():
            await self._start(config)

    async def close(self) -> None:
        """Stop all."""
        for group in self._groups.values():
            await group.stop()

    def find(self, stream: str, name: str) -> Group:
        """A group. Raises WireRefusal when there is none."""
        group = self._groups.get((stream, name))
        if group is None:
            text = f"there is no group {name!r} on {stream!r}"
            raise _refusal(StatusCode.NOT_FOUND, "persistent-subscription-does-not-exist", stream, name, text)
        return group

    def on(self, stream: str | None) -> list[Group]:
        """The groups on a stream, or all."""
        return [group for key, group in self._groups.items() if stream is None or key[0] == stream]

    async def create(self, config: GroupConfig) -> None:
        """A new group. Raises WireRefusal."""
        async with self._turn:
            check_config(config)
            key = (config.stream, config.name)
            if key in self._groups:
                text = f"group {config.name!r} on {config.stream!r} is there already"
                raise _refusal(StatusCode.ALREADY_EXISTS, "persistent-subscription-exists", *key, text)
            if len(self._groups) >= self._max_groups:
                raise _failed(config, f"{self._max_groups} groups are there, the bound")
            await self._forget(config)
            await self._start(config)
            await self._save()

    async def update(self, config: GroupConfig) -> None:
        """Change a group; it begins anew at its start, and its consumers are dropped."""
        async with self._turn:
            group = self.find(config.stream, config.name)
            config = msgspec.structs.replace(config, filter=group.config.filter)
            check_config(config)
            await group.stop()
            await self._store.save_checkpoint(config.key, 0)
            await self._start(config)
            await self._save()

    async def delete(self, stream: str, name: str) -> None:
        """Remove a group."""
        async with self._turn:
            group = self.find(stream, name)
            del self._groups[stream, name]
            await self._save()
            await group.stop()
            await self._forget(group.config)

    async def restart(self) -> None:
        """Stop and start all groups; their consumers are dropped."""
        async with self._turn:
            for group in list(self._groups.values()):
                await group.stop()
                await self._start(group.config)

    async def _start(self, config: GroupConfig) -> None:
        group = Group(self._store, config)
        await group.start(self._tasks)
        self._groups[config.stream, config.name] = group

    async def _forget(self, config: GroupConfig) -> None:
        state = await self._store.stream_state(config.parked_stream)
        await self._store.save_checkpoint(config.key, 0)
        await self._store.save_checkpoint(f"{config.key}-parked", 0 if state is None else state.version + 1)

    async def _save(self) -> None:
        now = time.time_ns()
        data = msgspec.json.encode([group.config for group in self._groups.values()])
        event = to_store(Proposed(new_id(now), CONFIG_TYPE, "application/json", data, b""), now, "group")
        await self._store.append(CONFIG_STREAM, [event])


@contextlib.asynccontextmanager
async def running_groups(store: EventStore, max_groups: int) -> AsyncIterator[Registry]:
    """The store's groups, running as long as the block."""
    async with asyncio.TaskGroup() as tasks:
        registry = Registry(store, max_groups, tasks)
        await registry.load()
        try:
            yield registry
        finally:
            await registry.close()


def check_config(config: GroupConfig) -> None:
    """Raises WireRefusal for a group that could not work."""
    config.wanted()
    if not config.name or len(config.name) > MAX_NAME_CHARACTERS:
        raise _failed(config, f"give the group a name of 1 to {MAX_NAME_CHARACTERS} characters")
    if config.history_buffer_size <= config.read_batch_size:
        raise _failed(config, "history_buffer_size must exceed read_batch_size")
    if config.history_buffer_size > MAX_BUFFER_EVENTS:
        raise _failed(config, f"history_buffer_size is at most {MAX_BUFFER_EVENTS}")
    counts = config.max_retry_count, config.max_subscriber_count, config.read_batch_size
    if min(*counts, config.message_timeout_ms) < 0:
        raise _failed(config, "counts and times are not negative")


def _failed(config: GroupConfig, text: str) -> WireRefusal:
    return _refusal(StatusCode.INTERNAL, "persistent-subscription-failed", config.stream, config.name, text)


def _refusal(code: StatusCode, what: str, stream: str, name: str, text: str) -> WireRefusal:
    return group_refusal(code, what, stream, name, text)
