"""The history as the story follows it: judgements and remedies as events, inlets as their last values."""

from dataclasses import dataclass, field

from coldaisle.cli.client import Client
from coldaisle.cli.hall import INLET_METRIC, bare
from coldaisle.cli.words import json_object
from coldaisle.v1.common_pb2 import Event
from coldaisle.v1.history_pb2 import EventFilter, ListEventsRequest

PAGE_SIZE = 1_000
TYPES = (
    "SamplesRecorded",
    "AlertOpened",
    "AlertEscalated",
    "AlertCleared",
    "RunProposed",
    "RunApproved",
    "RunRejected",
    "RunCancelled",
    "StepStarted",
    "StepSucceeded",
    "StepFailed",
    "StepUndone",
    "VerificationStarted",
    "RunSucceeded",
    "RunFailed",
)


@dataclass(frozen=True, slots=True)
class Inlet:
    """An inlet temperature and the event that brought it."""

    celsius: float
    position: int


@dataclass(slots=True)
class Chronicle:
    """What was read so far, up to and including ``position``."""

    position: int = 0
    events: list[Event] = field(default_factory=list)
    inlets: dict[str, Inlet] = field(default_factory=dict)

    def read(self, client: Client) -> None:
        """Read on to the head. A failure on the way loses nothing: it goes on after the last event taken."""
        while True:
            request = ListEventsRequest(
                filter=EventFilter(types=TYPES), page_size=PAGE_SIZE, after_revision=self.position
            )
            page = client.call(client.history.ListEvents, request)
            for event in page.events:
                self.take(event)
            if len(page.events) == 0 or not page.next_page_token:
                return

    def take(self, event: Event) -> None:
        """Take one event in."""
        self.position = event.position
        if event.type != "SamplesRecorded":
            self.events.append(event)
            return
        body = json_object(event.data_json)
        metrics, values = body.get("metrics"), body.get("values")
        if isinstance(metrics, list) and isinstance(values, list):
            for metric, value in zip(metrics, values, strict=False):
                if bare(str(metric)) == INLET_METRIC and isinstance(value, int | float):
                    self.inlets[str(body["asset"])] = Inlet(float(value), event.position)

    def of_type(self, kind: str, after: int = 0) -> list[Event]:
        """Events of a type after a position, in their order."""
        return [event for event in self.events if event.type == kind and event.position > after]
