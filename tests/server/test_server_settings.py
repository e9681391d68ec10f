"""What the file of settings may not say."""

from pathlib import Path

import pytest

from coldaisle.core.errors import ConfigError
from coldaisle.server.settings import detector_event, load_settings


@pytest.mark.parametrize("value", [-1, 1])
def test_escalation_by_one_asset_alone_is_refused_with_its_place(tmp_path: Path, value: int) -> None:
    file = tmp_path / "coldaisle.toml"
    file.write_text(f"[detect]\nescalate_related = {value}\n")
    with pytest.raises(ConfigError, match=rf"detect.escalate_related = {value} must be 0 for never"):
        load_settings(file)


def test_escalation_reaches_the_event_that_puts_it_in_force(tmp_path: Path) -> None:
    file = tmp_path / "coldaisle.toml"
    file.write_text("[detect]\nescalate_related = 2\n")
    assert detector_event(load_settings(file).detect, {}).escalate_related == 2
