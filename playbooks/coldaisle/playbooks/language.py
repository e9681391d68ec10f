"""The playbook language: what a YAML file may say, as frozen values. Unknown keys are refused."""

from typing import Literal

from msgspec import Struct

from coldaisle.core.events.types import Edge, Scalar

MAX_STEPS = 32
MAX_PARAMETERS = 32
MAX_SECONDS = 7 * 86_400.0

EACH = "each"
"""``${each}`` is the asset that a step with ``for_each`` is planned for."""

WAIT_UNTIL = "wait_until"
"""The action that the runner carries out itself: it waits for telemetry."""

ParameterType = Literal["asset", "number", "integer", "text", "boolean"]
TemplateArgument = Scalar | None | list[Scalar] | dict[str, Scalar]


class Parameter(Struct, frozen=True, forbid_unknown_fields=True):
    """What a run is given. Without a default it must be given; bounds are inclusive."""

    type: ParameterType
    description: str = ""
    default: Scalar | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()
    kind: str = ""
    """For assets: the kind that it must be of."""

    @property
    def required(self) -> bool:
        """Whether a run must name it."""
        return self.default is None


class Where(Struct, frozen=True, forbid_unknown_fields=True):
    """A bound on the latest reading of a metric: what is not read does not pass."""

    metric: str
    above: float | None = None
    below: float | None = None


class Selector(Struct, frozen=True, forbid_unknown_fields=True):
    """Assets chosen by the twin: those that ``to`` relates to by ``related_by``.

    ``peers`` turns the view round: everything of which a target is shared with ``to``, itself included.
    """

    related_by: Edge
    to: str
    peers: bool = False
    kind: str = ""
    where: Where | None = None
    skip_alerting: bool = False
    at_least: int = 1


class PlaybookStep(Struct, frozen=True, forbid_unknown_fields=True, rename={"arguments": "with"}):
    """One action, on ``asset`` or on each selected asset."""

    id: str
    action: str
    arguments: dict[str, TemplateArgument] = {}
    asset: str = ""
    for_each: Selector | None = None
    timeout_seconds: float = 30.0


class Verify(Struct, frozen=True, forbid_unknown_fields=True):
    """What telemetry must show after the steps, else they are undone."""

    assets: str | list[str] | Selector
    metric: str
    below: float | None = None
    above: float | None = None
    for_seconds: float = 0.0
    within_seconds: float = 600.0


class Approval(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a plan may wait for a person."""

    expires_seconds: float = 900.0


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """The file as it is written."""

    playbook: str
    title: str
    steps: list[PlaybookStep]
    description: str = ""
    parameters: dict[str, Parameter] = {}
    verify: Verify | None = None
    approval: Approval = Approval()


class Playbook(Struct, frozen=True):
    """A checked playbook; ``revision`` is the SHA-256 of ``text``, what plans are bound to."""

    id: str
    title: str
    description: str
    parameters: dict[str, Parameter]
    steps: tuple[PlaybookStep, ...]
    verify: Verify | None
    approval: Approval
    revision: str
    text: str


class WaitUntil(Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of ``wait_until``, once filled in."""

    metric: str
    below: float | None = None
    above: float | None = None
    for_seconds: float = 0.0
    within_seconds: float = 60.0
