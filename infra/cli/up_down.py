"""`sagestream up` and `sagestream down`."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.output import Json, print_json

Only = Annotated[
    str, typer.Option(help="These parts and what they need, separated by commas.", metavar="PARTS")
]


def up(only: Only = "", as_json: Json = False) -> None:
    """Start what is missing of the platform, and wait until it is ready.

    The first time, about 55 MB of jars are downloaded. Everything lies in one folder
    (SAGESTREAM_HOME, else .sagestream here) and listens on this machine only.

    Example: sagestream up
    Example: sagestream up --only kafka,postgres
    """
    from infra import settings
    from infra.cli.progress import Screen
    from infra.clock import SystemClock
    from infra.local.supervisor import Supervisor

    clock = SystemClock()
    began = clock.monotonic()
    with Screen(quiet=as_json) as screen:
        supervisor = Supervisor(settings.load(), clock, screen)
        started = supervisor.up(_names(only))
    seconds = round(clock.monotonic() - began, 1)
    loaded = supervisor.settings
    addresses = {
        "gateway": loaded.gateway_url,
        "serving": loaded.serving_url,
        "clickhouse": loaded.clickhouse_url,
        "flink": loaded.flink_url,
        "kafka": loaded.kafka_bootstrap,
    }
    if as_json:
        print_json({"started": started, "seconds": seconds, "addresses": addresses})
    else:
        screen.platform_is_up(started, seconds, {} if only else addresses)


def down(only: Only = "", as_json: Json = False) -> None:
    """Stop what `up` started, in reverse order. Data stays.

    Example: sagestream down
    """
    from infra import settings
    from infra.cli.progress import Screen
    from infra.clock import SystemClock
    from infra.local.supervisor import Supervisor

    with Screen(quiet=as_json) as screen:
        stopped = Supervisor(settings.load(), SystemClock(), screen).down(_names(only))
    if as_json:
        print_json({"stopped": stopped})
    elif not stopped:
        screen.say("Nothing was running.")


def _names(only: str) -> list[str]:
    return [name.strip() for name in only.split(",") if name.strip()]
