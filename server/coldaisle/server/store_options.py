"""What the commands of ``coldaisle store`` share: types of arguments, options, errors told in a line."""

import functools
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from coldaisle.core.store.chain_keys import ChainKeys
    from coldaisle.core.store.cipher import StoreKey

NOT_FOUND = 3
DAMAGED = 8
DEFAULT_DATA = "coldaisle-data"
STORE_FILE = "events.db"
CHAIN_KEY_FILE = "chain.key"
ENVIRONMENT_PREFIX = "env:"
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

P = ParamSpec("P")
R = TypeVar("R")
# Any: a click decorator takes and returns a function of whatever parameters the command has
F = TypeVar("F", bound=Callable[..., Any])


class Age(click.ParamType[int]):
    """A duration such as ``90d``, as seconds."""

    name = "age"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click.ParamType."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,9})([smhdw])", value)
        if match is None:
            self.fail(f"{value!r} is no age: write a number and one of s, m, h, d, w, as in 90d", param, ctx)
        return int(match[1]) * _UNIT_SECONDS[match[2]]


class StorePath(click.ParamType[Path]):
    """A store: its file, or the folder of the server that writes it."""

    name = "store"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """See click.ParamType."""
        path = Path(value)
        return path / STORE_FILE if path.is_dir() else path


class ExistingStore(StorePath):
    """As StorePath, and something is there."""

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """See click.ParamType."""
        path = super().convert(value, param, ctx)
        if not path.exists():
            leave(
                f"there is no store at {path}: name its file, or the folder given to `coldaisle serve`",
                NOT_FOUND,
            )
        return path


class AnyStore(click.ParamType["Path | str"]):
    """A store in a file, or the URL of a cluster; ``env:NAME`` is the URL in that variable."""

    name = "store"

    def __init__(self, file: StorePath) -> None:
        self._file = file

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | str:
        """See click.ParamType."""
        text = str(value)
        if text.startswith(ENVIRONMENT_PREFIX):
            return os.environ.get(name := text.removeprefix(ENVIRONMENT_PREFIX)) or self.fail(
                f"the environment has no {name}; set it to the cluster's URL", param, ctx
            )
        if "://" not in text:
            return self._file.convert(value, param, ctx)
        if "@" in text:
            self.fail("the URL holds a password: put it in a variable and write env:NAME", param, ctx)
        return text


class _Left(click.ClickException):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance


def leave(message: str, exit_code: int) -> NoReturn:
    """End the command with this exit code (see `coldaisle help exit-codes`)."""
    raise _Left(message, exit_code)


def told(function: Callable[P, R]) -> Callable[P, R]:
    """Errors that Coldaisle raises on purpose become one line: what, where, and the next step.

    SIGTERM, and a terminal that is closed, end a command as Ctrl-C does: nothing half made stays behind.
    """

    @functools.wraps(function)
    def carried_out(*args: P.args, **kwargs: P.kwargs) -> R:
        from coldaisle.core.errors import ColdaisleError

        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is signal.SIG_DFL:  # nohup(1) ignores the second
                    signal.signal(number, signal.default_int_handler)
        try:
            return function(*args, **kwargs)
        except ColdaisleError as error:
            raise click.ClickException(str(error)) from error

    return carried_out


def data(function: F) -> F:
    """``--data``: which store."""
    return click.option(
        "--data", "path", type=ExistingStore(), metavar="STORE", default=DEFAULT_DATA, show_default=True,
        help="The store's file, or the folder of the server that writes it.",
    )(function)  # fmt: skip


def key(function: F) -> F:
    """``--key-file``: what opens it."""
    return click.option(
        "--key-file", type=click.Path(path_type=Path), metavar="FILE",
        help="The key of an encrypted store.",
    )(function)  # fmt: skip


def chain(function: F) -> F:
    """``--chain-keys``: what continues its chain."""
    return click.option(
        "--chain-keys", type=click.Path(path_type=Path), metavar="FILE",
        help="The keys of the hash chain. [chain.key beside the store, when there is one]",
    )(function)  # fmt: skip


def archive_folder(function: F) -> F:
    """``--archive``: where its segments are."""
    return click.option(
        "--archive", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
        help="Where archived events are. [where they were last written]",
    )(function)  # fmt: skip


def plain_archive(function: F) -> F:
    """``--plain-archive``: also where the store is encrypted."""
    return click.option(
        "--plain-archive", is_flag=True,
        help="Archive an encrypted store: its old events then lie in plain text.",
    )(function)  # fmt: skip


def store_key(key_file: Path | None) -> "StoreKey | None":
    """The key in the file."""
    from coldaisle.core.store.cipher import load_store_key

    return None if key_file is None else load_store_key(key_file)


def keys_of_chain(chain_keys: Path | None, store: Path | str) -> "ChainKeys | None":
    """The keys in the file; those that a server keeps beside its store when no file is named."""
    from coldaisle.core.store.chain_keys import load_chain_keys

    if chain_keys is None and isinstance(store, Path) and store.with_name(CHAIN_KEY_FILE).exists():
        chain_keys = store.with_name(CHAIN_KEY_FILE)
    return None if chain_keys is None else load_chain_keys(chain_keys)


def run(work: Coroutine[Any, Any, R]) -> R:  # Any: asyncio.run does not look at the first two
    """Run to its end."""
    import asyncio

    return asyncio.run(work)


def progress(word: str) -> Callable[[int, int], None]:
    """A counter on stderr, on one line; silent where nobody watches."""

    def show(done: int, end: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{word} {done:,} of {end:,}", nl=done >= end, err=True)

    return show
