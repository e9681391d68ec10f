"""The npm client against our server: a second, independent reading of the protocol.

The client is installed once, into a cache folder. Where there is no node or no registry the tests are
skipped, unless COLDAISLE_REQUIRE_PEERS=1.
"""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = "@kurrent/kurrentdb-client"
VERSION = "1.3.1"
SCRIPT = Path(__file__).with_name("node_client.mjs")
STORY_SECONDS = 60

pytestmark = pytest.mark.peers


def absent(reason: str) -> None:
    if os.environ.get("COLDAISLE_REQUIRE_PEERS") == "1":
        pytest.fail(f"COLDAISLE_REQUIRE_PEERS is set, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """The folder with the installed client."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        absent("node and npm are not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "coldaisle-tests" / f"kurrentdb-client-{VERSION}"
    if (folder / "node_modules" / PACKAGE / "package.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"{PACKAGE}@{VERSION}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode:
        absent(f"npm cannot install {PACKAGE}: {done.stderr[-300:]}")
    return folder


async def tell(folder: Path, uri: str) -> dict[str, object]:
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), env=os.environ | {"CLIENT_FOLDER": str(folder), "CLIENT_URI": uri},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(STORY_SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, err.decode()[-3_000:]
    seen: dict[str, object] = json.loads(out.splitlines()[-1])
    return seen


EXPECTED = {
    "append": [True, 1, 2],
    "read": [["One", 0, {"n": 1}], ["Two", 1, {"n": 2}], ["Bytes", 2, [0, 255, 7]]],
    "backwards": [2, 1],
    "wrongVersion": "wrong-expected-version",
    "missing": "stream-not-found",
    "all": 3,
    "filtered": 2,
    "metadata": {"maxCount": 2},
    "counted": [1, 2],
    "live": ["live-0", "live-1", "live-2"],
    "retries": [[0, 0], [0, 1], [1, 0], [2, 0]],
    "groups": 2,
    "groupExists": "persistent-subscription-exists",
    "groupMissing": "persistent-subscription-does-not-exist",
    "many": [["m-1", 0], ["m-2", 0]],
    "tooLarge": "maximum-append-size-exceeded",
    "deleted": "stream-not-found",
    "deleteWrong": "wrong-expected-version",
    "tombstoned": "stream-deleted",
    "appendTombstoned": "stream-deleted",
}


@pytest.mark.parametrize("scheme", ["kurrentdb", "kurrentdb+discover"])
async def test_the_npm_client_does_all_it_can(node_folder: Path, port: int, scheme: str) -> None:
    assert await tell(node_folder, f"{scheme}://127.0.0.1:{port}?tls=false") == EXPECTED


async def test_the_npm_client_speaks_tls_with_credentials(
    node_folder: Path, secure_port: int, pair: object
) -> None:
    """With credentials it appends by Append, not in batches.

    Half of it does not decode percent-escapes in passwords: this one has none.
    """
    uri = f"kurrentdb://admin:rule-me@localhost:{secure_port}?tls=true&tlsCaFile={pair.authority}"
    assert await tell(node_folder, uri) == EXPECTED
