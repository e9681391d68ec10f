"""A group's settings and standing as messages; pure."""

from kurrentdbclient.protos.v1 import persistent_pb2, shared_pb2

from coldaisle.server.kurrent.errors import bad_request
from coldaisle.server.kurrent.groups import ALL, Group, GroupConfig, GroupFilter
from coldaisle.server.kurrent.ledger import STRATEGIES
from coldaisle.server.kurrent.messages import stream_name

CreateOptions = persistent_pb2.CreateReq.Options
UpdateOptions = persistent_pb2.UpdateReq.Options
Info = persistent_pb2.SubscriptionInfo

_NUMBERED_STRATEGIES = STRATEGIES[:3]
"""By their number in the older field."""
_TICKS_PER_MILLISECOND = 10_000
LAST_POSITION = 1 << 62
MAX_MILLISECONDS = (1 << 31) - 1
"""24 days: as much as the message about a group holds."""


def config_of(options: CreateOptions | UpdateOptions) -> GroupConfig:
    """The group that a request describes. Raises WireRefusal."""
    settings = options.settings
    everything = options.WhichOneof("stream_option") == "all"
    return GroupConfig(
        stream=ALL if everything else stream_name(_identifier(options)),
        name=options.group_name,
        start=_all_start(options) if everything else _stream_start(options),
        filter=_filter_of(options) if everything and isinstance(options, CreateOptions) else None,
        resolve_links=settings.resolve_links,
        extra_statistics=settings.extra_statistics,
        message_timeout_ms=_milliseconds(settings.message_timeout_ms, settings.message_timeout_ticks),
        max_retry_count=settings.max_retry_count,
        checkpoint_after_ms=_milliseconds(settings.checkpoint_after_ms, settings.checkpoint_after_ticks),
        min_checkpoint_count=settings.min_checkpoint_count,
        max_checkpoint_count=settings.max_checkpoint_count,
        max_subscriber_count=settings.max_subscriber_count,
        live_buffer_size=settings.live_buffer_size,
        read_batch_size=settings.read_batch_size,
        history_buffer_size=settings.history_buffer_size,
        strategy=_strategy(options),
    )


def info_message(group: Group) -> Info:
    """How a group stands."""
    config, ledger = group.config, group.ledger
    everything = config.stream == ALL
    info = Info(
        event_source=config.stream,
        group_name=config.name,
        status="Live",
        total_items=ledger.total,
        last_checkpointed_event_position=_place(everything, ledger.checkpoint()),
        last_known_event_position=_place(everything, ledger.read_position),
        resolve_link_tos=config.resolve_links,
        start_from=_place(everything, config.start),
        message_timeout_milliseconds=config.message_timeout_ms,
        extra_statistics=config.extra_statistics,
        max_retry_count=config.max_retry_count,
        live_buffer_size=config.live_buffer_size,
        buffer_size=config.history_buffer_size,
        read_batch_size=config.read_batch_size,
        check_point_after_milliseconds=config.checkpoint_after_ms,
        min_check_point_count=config.min_checkpoint_count,
        max_check_point_count=config.max_checkpoint_count,
        read_buffer_count=len(ledger.waiting),
        retry_buffer_count=sum(delivery.retries > 0 for delivery in ledger.waiting),
        total_in_flight_messages=ledger.in_flight,
        outstanding_messages_count=ledger.in_flight,
        named_consumer_strategy=config.strategy,
        max_subscriber_count=config.max_subscriber_count,
        parked_message_count=group.parked_last - ledger.parked_read,
    )
    for consumer in ledger.consumers:
        info.connections.add(
            username=consumer.name,
            total_items=consumer.total,
            available_slots=consumer.slots - len(consumer.held),
            in_flight_messages=len(consumer.held),
        )
    return info


def _all_start(options: CreateOptions | UpdateOptions) -> int:
    where = options.all.WhichOneof("all_option")
    position = options.all.position.commit_position
    if where == "end" or (where == "position" and position >= LAST_POSITION):
        return -1
    return position if where == "position" else 0


def _identifier(options: CreateOptions | UpdateOptions) -> shared_pb2.StreamIdentifier:
    """The stream; some clients still name it in the older place."""
    if options.WhichOneof("stream_option") == "stream":
        return options.stream.stream_identifier
    return options.stream_identifier


def _stream_start(options: CreateOptions | UpdateOptions) -> int:
    if options.WhichOneof("stream_option") != "stream":
        return -1 if options.settings.revision >= LAST_POSITION else options.settings.revision
    where = options.stream.WhichOneof("revision_option")
    revision = options.stream.revision
    if where == "end" or (where == "revision" and revision >= LAST_POSITION):
        return -1
    return revision if where == "revision" else 0


def _filter_of(options: CreateOptions) -> GroupFilter | None:
    if options.all.WhichOneof("filter_option") != "filter":
        return None
    asked = options.all.filter
    by_stream = asked.WhichOneof("filter") == "stream_identifier"
    expression = asked.stream_identifier if by_stream else asked.event_type
    return GroupFilter(by_stream, expression.regex, tuple(expression.prefix))


def _strategy(options: CreateOptions | UpdateOptions) -> str:
    named = options.settings.consumer_strategy if isinstance(options, CreateOptions) else ""
    number = options.settings.named_consumer_strategy
    if named in STRATEGIES:
        return named
    if named or number >= len(_NUMBERED_STRATEGIES):
        asked = repr(named[:40]) if named else number
        raise bad_request(f"consumer strategy {asked} is not known: give one of {', '.join(STRATEGIES)}")
    return _NUMBERED_STRATEGIES[number]


def _milliseconds(milliseconds: int, ticks: int) -> int:
    asked = milliseconds or ticks // _TICKS_PER_MILLISECOND
    if not 0 <= asked <= MAX_MILLISECONDS:
        raise bad_request(f"a time of {asked} ms: give 0 to {MAX_MILLISECONDS}")
    return asked


def _place(everything: bool, position: int) -> str:
    return f"C:{position}/P:{position}" if everything else str(position)
