"""Builds the services over one store."""

import contextlib
from collections.abc import AsyncIterator

import grpc
from google.protobuf.descriptor import FileDescriptor
from kurrentdbclient.protos.v1 import gossip_pb2, persistent_pb2, streams_pb2
from kurrentdbclient.protos.v2.streams import streams_pb2 as v2_streams_pb2

from coldaisle.core.store import EventStore
from coldaisle.server.kurrent.access import Gate
from coldaisle.server.kurrent.discovery import FeaturesService, GossipService, features_service
from coldaisle.server.kurrent.following import Follower
from coldaisle.server.kurrent.persistent import PersistentService
from coldaisle.server.kurrent.reading import Reader
from coldaisle.server.kurrent.registry import running_groups
from coldaisle.server.kurrent.removal import Removal
from coldaisle.server.kurrent.rpc import served_methods, service_handler
from coldaisle.server.kurrent.sessions import SessionsService
from coldaisle.server.kurrent.settings import KurrentSettings
from coldaisle.server.kurrent.streams import StreamsService


@contextlib.asynccontextmanager
async def services(
    store: EventStore, settings: KurrentSettings, host: str, port: int
) -> AsyncIterator[tuple[grpc.GenericRpcHandler, ...]]:
    """The handlers of all services; ``host`` and ``port`` are what discovering clients are told."""
    async with running_groups(store, settings.max_groups) as groups:
        follower = Follower(store, settings.max_subscriptions)
        implementations: list[tuple[FileDescriptor, object]] = [
            (
                streams_pb2.DESCRIPTOR,
                StreamsService(store, settings, Reader(store, follower), Removal(store, follower)),
            ),
            (v2_streams_pb2.DESCRIPTOR, SessionsService(store, settings)),
            (persistent_pb2.DESCRIPTOR, PersistentService(store, groups)),
            (gossip_pb2.DESCRIPTOR, GossipService(host, port)),
        ]
        served = [
            (service, implementation)
            for file, implementation in implementations
            for service in file.services_by_name.values()
        ]
        methods = [method for service, one in served for method in served_methods(service, one)]
        served.append((features_service(), FeaturesService(methods)))
        gate = Gate(settings)
        yield tuple(service_handler(service, one, gate) for service, one in served)
