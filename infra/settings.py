"""Every setting of every process, and the only reader of environment variables.

Order of precedence: environment (`SAGESTREAM_…`), then `<home>/settings.env` (written by
`sagestream up`), then the defaults below. Ports that are not given follow `port_base`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from infra.errors import CannotRun

ENV_PREFIX = "SAGESTREAM_"
SETTINGS_FILE = "settings.env"

# Offsets from `port_base`, one place for every listener of the local platform.
PORT_OFFSETS = {
    "clickhouse_port": 23,
    "postgres_port": 32,
    "event_writer_health_port": 41,
    "analytics_writer_health_port": 42,
    "pattern_writer_health_port": 43,
    "late_repair_health_port": 44,
    "valkey_port": 70,
    "valkey_bus_port": 60,
    "gateway_port": 80,
    "flink_rest_port": 81,
    "flink_rpc_port": 82,
    "serving_port": 90,
    "kafka_port": 92,
    "kafka_controller_port": 93,
}
VALKEY_NODES = 6


class Settings(BaseSettings):
    """Frozen; secrets print as stars."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    home: Path = Field(default=Path(".sagestream"), description="the one data folder")
    artifacts: Path = Field(
        default=Path(".sagestream/artifacts"), description="downloaded jars, shared by all homes"
    )
    profile: Literal["local", "production"] = "local"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    listen_host: str = Field(default="127.0.0.1", description="address of every HTTP listener")
    port_base: int = Field(default=18000, ge=1024, le=65000)
    clickhouse_port: int = 0
    postgres_port: int = 0
    event_writer_health_port: int = 0
    analytics_writer_health_port: int = 0
    pattern_writer_health_port: int = 0
    late_repair_health_port: int = 0
    valkey_port: int = Field(default=0, description="first of six consecutive ports")
    valkey_bus_port: int = Field(default=0, description="first of six consecutive bus ports")
    gateway_port: int = 0
    flink_rest_port: int = 0
    flink_rpc_port: int = Field(default=0, description="job manager, for task managers")
    serving_port: int = 0
    kafka_port: int = 0
    kafka_controller_port: int = 0

    kafka_bootstrap: str = Field(default="", description="host:port list; empty = local broker")
    postgres_host: str = "127.0.0.1"
    postgres_user: str = "sagestream"
    postgres_database: str = "sagestream"
    postgres_password: SecretStr = SecretStr("")
    redis_nodes: str = Field(default="", description="host:port list; empty = local cluster")
    redis_password: SecretStr = SecretStr("")
    clickhouse_host: str = "127.0.0.1"
    clickhouse_database: str = "sagestream"
    clickhouse_user: str = "sagestream"
    clickhouse_password: SecretStr = SecretStr("")
    clickhouse_analyst_user: str = "analyst"
    clickhouse_analyst_password: SecretStr = SecretStr("")
    maven_repository: str = Field(default="", description="where jars come from; empty = central")
    flink_python: str = Field(default="", description="Python with Flink; empty = .venv-flink")

    body_bytes_max: int = Field(default=8_388_608, description="one request, after unpacking")
    batch_events_max: int = 10_000
    ack_timeout_ms: int = Field(default=5_000, description="longest wait for delivery reports")
    producer_linger_ms: int = 5
    heartbeat_idle_ms: int = Field(default=10_000, description="quiet time before a heartbeat")
    key_refresh_ms: int = Field(default=10_000, description="age at which a cached key is re-read")
    gateway_workers: int = 1

    writer_batch_records_max: int = 5_000
    writer_batch_wait_ms: int = 200
    detected_confidence_min: float = 0.7
    detected_sample_size_min: int = 20
    shared_min_clients: int = 3
    refresh_patterns_max: int = Field(default=500, description="confidence refresh, per batch")
    success_signals: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict,
        description='more signals, JSON: {"lesson.passed": 1, "*.skipped": 0.2}',
    )

    flink_parallelism: int = 0
    flink_checkpoint_interval_ms: int = 0
    kafka_replication_factor: int = 0
    kafka_min_insync_replicas: int = 0

    def model_post_init(self, _context: Any, /) -> None:
        production = self.profile == "production"
        derived: dict[str, Any] = {
            name: self.port_base + offset for name, offset in PORT_OFFSETS.items()
        }
        derived |= {
            "flink_parallelism": 16 if production else 2,
            "flink_checkpoint_interval_ms": 60_000 if production else 10_000,
            "kafka_replication_factor": 3 if production else 1,
            "kafka_min_insync_replicas": 2 if production else 1,
        }
        for name, value in derived.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        for folder in ("home", "artifacts"):
            object.__setattr__(self, folder, getattr(self, folder).expanduser().absolute())
        if not self.kafka_bootstrap:
            object.__setattr__(self, "kafka_bootstrap", f"127.0.0.1:{self.kafka_port}")
        if not self.redis_nodes:
            nodes = (f"127.0.0.1:{self.valkey_port + n}" for n in range(VALKEY_NODES))
            object.__setattr__(self, "redis_nodes", ",".join(nodes))

    @property
    def postgres_dsn(self) -> str:
        """libpq connection string; holds the password, so never log it."""
        parts = {
            "host": self.postgres_host,
            "port": str(self.postgres_port),
            "user": self.postgres_user,
            "dbname": self.postgres_database,
            "password": self.postgres_password.get_secret_value(),
            "connect_timeout": "5",
        }
        return " ".join(f"{key}='{_quoted(value)}'" for key, value in parts.items() if value)

    @property
    def gateway_url(self) -> str:
        return f"http://{self.listen_host}:{self.gateway_port}"

    @property
    def serving_url(self) -> str:
        return f"http://{self.listen_host}:{self.serving_port}"

    @property
    def clickhouse_url(self) -> str:
        return f"http://{self.clickhouse_host}:{self.clickhouse_port}"

    @property
    def flink_url(self) -> str:
        return f"http://127.0.0.1:{self.flink_rest_port}"

    def redacted(self) -> dict[str, str]:
        """Every setting as text, secrets starred."""
        return {name: str(getattr(self, name)) for name in type(self).model_fields}


def load(**overrides: Any) -> Settings:
    """Read the environment and `<home>/settings.env`.

    Raises:
        CannotRun: a value is wrong or a name in settings.env is unknown; names the setting.
    """
    home = Path(overrides.get("home") or os.environ.get(f"{ENV_PREFIX}HOME") or ".sagestream")
    env_file = home.expanduser().absolute() / SETTINGS_FILE
    try:
        return Settings(_env_file=env_file, **{"home": home, **overrides})  # type: ignore[call-arg]
    except SettingsError as error:
        raise CannotRun(
            f"A setting cannot be read: {error}.",
            remedy=f"Write it as JSON, in the environment or in {env_file}.",
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{ENV_PREFIX}{'_'.join(str(part) for part in first['loc'])}".upper()
        raise CannotRun(
            f"Setting {name} is wrong: {first['msg']}.",
            remedy=f"Correct it in the environment or in {env_file}.",
        ) from None


def process_environment(settings: Settings) -> dict[str, str]:
    """The environment a child process needs to load the same settings."""
    return {**os.environ, f"{ENV_PREFIX}HOME": str(settings.home)}


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
