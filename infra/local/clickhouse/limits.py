"""What a request may cost, and which settings an analyst may bring along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.local.clickhouse.errors import ClickHouseError


@dataclass(frozen=True, slots=True)
class AnalystLimits:
    """Enforced by the engine on every statement of the read-only account."""

    execution_s: int = 30
    memory_bytes: int = 1_073_741_824
    result_rows: int = 1_000_000
    result_bytes: int = 268_435_456
    threads: int = 1

    def as_settings(self) -> dict[str, str]:
        """Engine setting → value; more rows or bytes than allowed is an error, never a cut."""
        return {
            "max_execution_time": str(self.execution_s),
            "max_memory_usage": str(self.memory_bytes),
            "max_result_rows": str(self.result_rows),
            "max_result_bytes": str(self.result_bytes),
            "result_overflow_mode": "throw",
            "max_threads": str(self.threads),
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the whole process. The wait is for a free place among the running statements."""

    statement_bytes_max: int = 4_194_304
    body_bytes_max: int = 1_073_741_824
    result_bytes_max: int = 536_870_912
    server_memory_bytes: int = 2_147_483_648
    connections_max: int = 256
    writer_statements_max: int = 16
    analyst_statements_max: int = 4
    wait_s: float = 5.0
    idle_connection_s: float = 60.0
    stop_s: float = 10.0
    analyst: AnalystLimits = field(default_factory=AnalystLimits)


# Settings that change how a result looks or travels, never what it costs, shows or reads. Not all
# of `format_`: templates and schemas name files of this machine.
_FREE_PREFIXES = ("output_format_", "date_time_")
_FREE = {
    *("enable_http_compression", "http_zlib_compression_level", "add_http_cors_header"),
    *(
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "http_wait_end_of_query",
    ),
    *("cancel_http_readonly_queries_on_client_close", "cast_string_to_dynamic_use_inference"),
    *("format_csv_delimiter", "format_csv_null_representation", "format_tsv_null_representation"),
    *("extremes", "join_use_nulls", "limit", "log_comment", "offset", "readonly"),
    *("session_timezone", "use_client_time_zone"),
}


def analyst_settings(requested: Mapping[str, str], limits: AnalystLimits) -> dict[str, str]:
    """The settings an analyst's statement runs with: lower limits and other looks are granted.

    Raises:
        ClickHouseError: 164 for a setting that a read-only account cannot change.
    """
    enforced = limits.as_settings()
    granted = dict(enforced)
    for name, value in requested.items():
        if name in enforced and _is_lower(value, enforced[name]):
            granted[name] = value
        elif name in _FREE or name.startswith(_FREE_PREFIXES):
            if name != "readonly":
                granted[name] = value
        elif value != enforced.get(name):
            raise ClickHouseError(
                164, "READONLY", f"Cannot modify '{name}' setting in readonly mode.", status=500
            )
    return granted


def _is_lower(value: str, bound: str) -> bool:
    """0 means without limit to the engine, so it is not lower than anything."""
    try:
        return bound.isdigit() and 0 < float(value) <= int(bound)
    except ValueError:
        return False
