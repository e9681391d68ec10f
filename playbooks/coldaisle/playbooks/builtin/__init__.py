"""The playbooks that come with Coldaisle, as YAML beside this file: to be used, read and copied."""

from functools import cache
from importlib.resources import files

from coldaisle.playbooks.language import Playbook
from coldaisle.playbooks.reading import read_playbook


@cache
def builtin_playbooks() -> tuple[Playbook, ...]:
    """All of them, by name."""
    sources = sorted(
        (entry for entry in files(__name__).iterdir() if entry.name.endswith(".yaml")),
        key=lambda entry: entry.name,
    )
    return tuple(read_playbook(entry.read_text(encoding="utf-8"), entry.name) for entry in sources)
