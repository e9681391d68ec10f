"""How a running lab is spoken to: one JSON line each way over a unix socket in its directory."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from coldaisle.lab.errors import LabError, LabNotRunning, LabRunning

SOCKET = "control.sock"
MAX_LINE_BYTES = 64 * 1024
MAX_PATH_BYTES = 107
"""What the kernel takes as the path of a unix socket."""
ANSWER_SECONDS = 5.0


class Inject(msgspec.Struct, frozen=True, tag_field="op", tag="inject"):
    """Let something break."""

    kind: str
    asset: str
    size: float = 1.0


class Clear(msgspec.Struct, frozen=True, tag_field="op", tag="clear"):
    """Repair it."""

    kind: str
    asset: str


class AskFaults(msgspec.Struct, frozen=True, tag_field="op", tag="faults"):
    """Which faults are in."""


class AskState(msgspec.Struct, frozen=True, tag_field="op", tag="state"):
    """The true state of the hall."""


Request = Inject | Clear | AskFaults | AskState


class InjectedFault(msgspec.Struct, frozen=True):
    """A fault that is in, and since which plant second."""

    kind: str
    asset: str
    size: float
    since_seconds: float


class RackState(msgspec.Struct, frozen=True):
    """The truth about a rack beside what its probe shows."""

    inlet_celsius: float
    shown_celsius: float
    power_watts: float


class CracState(msgspec.Struct, frozen=True):
    """The truth about a cooling unit."""

    setpoint_celsius: float
    supply_celsius: float
    return_celsius: float
    cooling_watts: float


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the lab says; `error` is empty when it did what was asked."""

    error: str = ""
    seconds: float = 0.0
    """Plant seconds since the run began."""
    speed: float = 0.0
    faults: list[InjectedFault] = []
    racks: dict[str, RackState] = {}
    cracs: dict[str, CracState] = {}
    feeds: dict[str, bool] = {}


_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class ControlServer:
    """Listens in the directory and asks `answer` for each line; one lab a directory."""

    def __init__(self, directory: Path, answer: Callable[[Request], Answer]) -> None:
        self._path = directory / SOCKET
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        _check_length(self._path)
        _remove_stale(self._path)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_LINE_BYTES)
        self._path.chmod(0o600)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await reader.readline()
                writer.write(msgspec.json.encode(self._answered(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # the caller went away, or sent no line: there is nobody to tell
        finally:
            writer.close()

    def _answered(self, line: bytes) -> Answer:
        try:
            return self._answer(_requests.decode(line))
        except msgspec.DecodeError as error:
            return Answer(error=f"not a request: {error}")
        except LabError as error:
            return Answer(error=str(error))


def ask(directory: Path, request: Request) -> Answer:
    """Return the answer of the lab that runs in this directory; raises LabNotRunning or LabError."""
    path = directory / SOCKET
    _check_length(path)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(ANSWER_SECONDS)
            client.connect(str(path))
            client.sendall(msgspec.json.encode(request) + b"\n")
            line = client.makefile("rb").readline(MAX_LINE_BYTES)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise LabNotRunning(
            f"no lab runs in {directory}; start one with: coldaisle lab run --directory {directory}"
        ) from error
    except OSError as error:
        raise LabError(f"the lab in {directory} does not answer ({error}); stop and start it") from error
    answer = _answers.decode(line)
    if answer.error:
        raise LabError(answer.error)
    return answer


def _check_length(path: Path) -> None:
    if len(str(path).encode()) > MAX_PATH_BYTES:
        raise LabError(
            f"{path} is over {MAX_PATH_BYTES} bytes, too long for a socket; use a shorter --directory"
        )


def _remove_stale(path: Path) -> None:
    """Remove the socket that a killed lab left; raises LabRunning when one listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink()
            return
    raise LabRunning(f"a lab already runs in {path.parent}; stop it, or choose another --directory")
