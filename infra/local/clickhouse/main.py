"""The stand-in for a ClickHouse server on one machine."""

from __future__ import annotations

import threading

from infra import log
from infra.local.clickhouse.engine import Engine
from infra.local.clickhouse.server import Server
from infra.local.clickhouse.users import Users
from infra.settings import Settings
from infra.signals import stop_on_signals


def main(settings: Settings) -> int:
    """Serve ClickHouse's HTTP interface over the embedded engine until told to stop."""
    logger = log.get("clickhouse")
    stopping = stop_on_signals()
    users = Users(settings)
    engine = Engine(settings.home / "clickhouse", settings.clickhouse_database)
    server = Server(
        settings.listen_host,
        settings.clickhouse_port,
        engine,
        users,
        settings.clickhouse_database,
    )
    listening = threading.Thread(target=server.serve_forever, daemon=True)
    listening.start()
    logger.info("ready", port=settings.clickhouse_port, version=engine.version)
    stopping.wait()
    server.shutdown()
    server.close_idle()
    server.server_close()
    engine.close()
    return 0
