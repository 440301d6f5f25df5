"""`sagestream run clickhouse`: the engine and its HTTP interface until told to stop."""

from __future__ import annotations

from uuid import uuid4

from infra import log
from infra.clock import Clock, SystemClock
from infra.local.clickhouse.accounts import Accounts
from infra.local.clickhouse.engine import Engine
from infra.local.clickhouse.errors import ClickHouseError
from infra.local.clickhouse.limits import Limits
from infra.local.clickhouse.server import Server
from infra.local.clickhouse.service import Service
from infra.local.paths import Paths
from infra.settings import Settings
from infra.signals import stop_on_signals


def main(settings: Settings) -> int:
    """Serve until SIGTERM; running statements get some seconds to end.

    Raises:
        CannotRun: no password, port busy, folder in use or unusable, engine does not start.
    """
    limits = Limits()
    clock = SystemClock()
    accounts = Accounts.from_settings(settings)
    server = Server(settings.listen_host, settings.clickhouse_port, limits)
    database = settings.clickhouse_database
    engine = Engine(Paths(settings.home).data("clickhouse"), database, limits)
    # After the engine, which brings signal handlers of its own.
    stopping = stop_on_signals()
    service = Service(engine, accounts, limits, database=database, new_id=lambda: str(uuid4()))
    server.serve(service)
    logger = log.get("clickhouse")
    logger.info("ready", version=engine.version, port=server.port)
    stopping.wait()
    logger.info("stopping")
    server.stop()
    _finish(service, engine, limits, clock)
    return 0


def _finish(service: Service, engine: Engine, limits: Limits, clock: Clock) -> None:
    if not service.stop(limits.stop_s, clock):
        try:
            engine.stop_statements()
        except ClickHouseError:
            log.get("clickhouse").warning("statements did not stop", exc_info=True)
        service.stop(limits.stop_s, clock)
    engine.close()
