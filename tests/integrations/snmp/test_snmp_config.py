"""Settings of devices and users: what becomes of them, and that no secret shows."""

import pytest
from msgspec import convert

from coldaisle.core.errors import ConfigError
from coldaisle.integrations.snmp.config import (
    DeviceConfig,
    TrapUserConfig,
    UserConfig,
    read_target,
    trap_user_of,
    user_of,
    write_target,
)
from coldaisle.integrations.snmp.message import V1, V3

PHRASE = "correct horse battery"
USER = {"name": "monitor", "auth": "SHA-256", "auth_phrase_env": "AUTH", "privacy": "AES-256",
        "privacy_phrase_env": "PRIVACY", "key_expansion": "reeder"}  # fmt: skip
ENVIRONMENT = {"AUTH": PHRASE, "PRIVACY": PHRASE[::-1]}


def device(**settings):
    return convert({"asset": "ups-1", "address": "192.0.2.1", **settings}, DeviceConfig)


def test_every_setting_of_a_device_reaches_its_target():
    stated = device(
        version="3", user=USER, context="hall", own_socket=True, answers_from_elsewhere=True,
        get_next_only=True, allow_nonincreasing=True,
    )  # fmt: skip
    target = read_target(stated, ENVIRONMENT)
    assert (target.version, target.context, target.can_bulk) == (V3, "hall", False)
    assert (target.has_own_socket, target.answers_from_elsewhere, target.allow_nonincreasing) == (True,) * 3
    assert target.user is not None
    assert (target.user.auth_phrase, target.user.privacy_phrase) == (PHRASE, PHRASE[::-1])
    assert target.user.key_expansion == "reeder"
    assert PHRASE not in repr(target) + repr(target.user) + repr(stated)
    assert read_target(device(version="1")).version == V1


def test_a_phrase_may_lie_in_a_file(tmp_path):
    (tmp_path / "auth").write_text(PHRASE + "\n")
    config = UserConfig("monitor", "SHA-1", auth_phrase_file=str(tmp_path / "auth"))
    assert user_of(config).auth_phrase == PHRASE


def test_only_a_write_user_may_write_in_version_3():
    assert write_target(device(version="3", user=USER), ENVIRONMENT) is None
    target = write_target(device(version="3", user=USER, write_user={**USER, "name": "w"}), ENVIRONMENT)
    assert target is not None
    assert target.user is not None
    assert target.user.name == "w"


@pytest.mark.parametrize(
    ("user", "environment", "hint"),
    [(None, {}, "set user"), (USER, {}, "no AUTH"), (USER, {**ENVIRONMENT, "AUTH": "tiny-pw"}, "at least 8"),
     ({"name": "m", "privacy": "DES", "privacy_phrase_env": "AUTH"}, ENVIRONMENT, "without authentication")],
)  # fmt: skip
def test_what_is_wrong_is_named_without_a_secret(user, environment, hint):
    stated = device(version="3", **({"user": user} if user else {}))
    with pytest.raises(ConfigError, match=hint) as caught:
        read_target(stated, environment)
    assert not [secret for secret in (PHRASE, "tiny-pw") if secret in str(caught.value)]


def test_engine_ids_of_trap_users_are_hex():
    config = convert({**USER, "engine_ids": ["80FF"], "check_time": False}, TrapUserConfig)
    known = trap_user_of(config, ENVIRONMENT)
    assert (known.engine_ids, known.checks_time) == (frozenset({"80ff"}), False)
    with pytest.raises(ConfigError, match="not hex"):
        trap_user_of(convert({**USER, "engine_ids": ["80:ff"]}, TrapUserConfig), ENVIRONMENT)
