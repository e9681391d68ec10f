"""What clients ask before they start: which nodes there are, and what this one can do."""

import uuid
from collections.abc import Iterable
from time import time_ns

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from kurrentdbclient.protos.v1 import gossip_pb2, shared_pb2

SERVER_VERSION = "26.1.0"
"""The version of the protocol's home whose behaviour clients may expect; they gate features on it."""

_PACKAGE = "event_store.client.server_features"
_NANOSECONDS_PER_TICK = 100
_V1_PREFIX = "event_store."
_FEATURES = {
    ("event_store.client.streams.Streams", "Read"): ("position", "events"),
    "event_store.client.persistent_subscriptions.PersistentSubscriptions": ("stream", "all"),
}


class GossipService:
    """Tells that this node is alone and leads."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._instance = str(uuid.uuid4())

    async def Read(self, _: shared_pb2.Empty) -> gossip_pb2.ClusterInfo:  # noqa: N802 - the protocol's name
        """One member, the leader."""
        member = gossip_pb2.MemberInfo(
            instance_id=shared_pb2.UUID(string=self._instance),
            time_stamp=time_ns() // _NANOSECONDS_PER_TICK,
            state=gossip_pb2.MemberInfo.Leader,
            is_alive=True,
            http_end_point=gossip_pb2.EndPoint(address=self._host, port=self._port),
        )
        return gossip_pb2.ClusterInfo(members=[member])


class FeaturesService:
    """Tells which methods are served: those that are, no others."""

    def __init__(self, methods: Iterable[MethodDescriptor]) -> None:
        service = features_service()
        answer = service.methods_by_name["GetSupportedMethods"].output_type
        self._answer = message_factory.GetMessageClass(answer)(event_store_server_version=SERVER_VERSION)
        for method in methods:
            self._add(method)

    async def GetSupportedMethods(self, _: Message) -> Message:  # noqa: N802 - the protocol's name
        """The list, made once."""
        return self._answer

    def _add(self, method: MethodDescriptor) -> None:
        service = method.containing_service.full_name
        name = method.name.lower() if service.startswith(_V1_PREFIX) else method.name
        features = _FEATURES.get((service, method.name), _FEATURES.get(service, ()))
        # the class is made at run time, so its fields are unknown to the type checker
        getattr(self._answer, "methods").add(method_name=name, service_name=service, features=features)  # noqa: B009


def features_service() -> ServiceDescriptor:
    """The service's description, which the client package does not bring."""
    pool = descriptor_pool.Default()
    try:
        return pool.FindServiceByName(f"{_PACKAGE}.ServerFeatures")
    except KeyError:
        pool.Add(_features_file())
        return pool.FindServiceByName(f"{_PACKAGE}.ServerFeatures")


def _features_file() -> descriptor_pb2.FileDescriptorProto:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="coldaisle_server_features.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[shared_pb2.DESCRIPTOR.name],
    )
    method = file.message_type.add(name="SupportedMethod")
    for number, name in enumerate(("method_name", "service_name", "features"), start=1):
        label = field.LABEL_REPEATED if name == "features" else field.LABEL_OPTIONAL
        method.field.add(name=name, number=number, type=field.TYPE_STRING, label=label)
    methods = file.message_type.add(name="SupportedMethods")
    kind = f".{_PACKAGE}.SupportedMethod"
    methods.field.add(
        name="methods", number=1, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED, type_name=kind
    )
    methods.field.add(
        name="event_store_server_version", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL
    )
    service = file.service.add(name="ServerFeatures")
    service.method.add(
        name="GetSupportedMethods",
        input_type=f".{shared_pb2.Empty.DESCRIPTOR.full_name}",
        output_type=f".{_PACKAGE}.SupportedMethods",
    )
    return file
