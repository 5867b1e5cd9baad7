"""Settings are checked at start, and keep their secrets."""

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="EVENKEEL_COUNTER_")

    database_schema: str = "counter"


NEEDED = {
    "DATABASE_URL": "postgresql://counter:hunter2@db/evenkeel",
    "JWKS_URL": "https://issuer.test/jwks.json",
    "TOKEN_ISSUER": "https://issuer.test",
}


@pytest.fixture
def environment(monkeypatch):
    for name, value in NEEDED.items():
        monkeypatch.setenv(f"EVENKEEL_COUNTER_{name}", value)
    return monkeypatch


def test_settings_come_from_the_environment(environment, tmp_path):
    environment.setenv("EVENKEEL_COUNTER_CONCURRENT_CALLS_MAX", "7")
    environment.setenv("EVENKEEL_PORT_FILE", str(tmp_path / "port"))

    settings = Settings.from_environment()

    assert settings.concurrent_calls_max == 7
    assert settings.port_file == tmp_path / "port"
    assert settings.database_schema == "counter"
    assert not settings.tls


def test_secrets_are_not_shown(environment):
    settings = Settings.from_environment()

    assert "hunter2" not in repr(settings)
    environment.setenv("EVENKEEL_COUNTER_DATABASE_POOL_SIZE", "hunter3")
    with pytest.raises(ValidationError) as caught:
        Settings.from_environment()
    assert "hunter3" not in str(caught.value)


def test_a_missing_setting_is_named(monkeypatch):
    with pytest.raises(ValidationError, match="database_url"):
        Settings.from_environment()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONCURRENT_CALLS_MAX", "0"),
        ("DATABASE_SCHEMA", 'policy"; DROP'),
        ("JWKS_URL", "http://issuer.test/jwks.json"),
        ("TLS_CERTIFICATE_FILE", "/only/one/of/three.pem"),
    ],
)
def test_a_setting_outside_its_range_is_refused(environment, name, value):
    environment.setenv(f"EVENKEEL_COUNTER_{name}", value)

    with pytest.raises(ValidationError):
        Settings.from_environment()


def test_settings_do_not_change(environment):
    settings = Settings.from_environment()

    with pytest.raises(ValidationError, match="frozen"):
        settings.drain_s = 1
