"""Is a port free, and if not, who has it?"""

from __future__ import annotations

import socket

import psutil

from infra.local.errors import PortBusy
from infra.local.processes import Listener


def is_free(listener: Listener) -> bool:
    """Whether we could listen there now; ports in TIME_WAIT count as free."""
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.host, listener.port))
        except OSError:
            return False
    return True


def accepts(listener: Listener, timeout_s: float = 1.0) -> bool:
    """Whether somebody answers there."""
    try:
        with socket.create_connection((listener.host, listener.port), timeout=timeout_s):
            return True
    except OSError:
        return False


def holder(port: int) -> str:
    """ "pid 123 (postgres)", or empty when the system does not tell."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            if address and address.port == port and connection.status == psutil.CONN_LISTEN:
                return _describe(connection.pid)
    except psutil.Error:
        pass
    return ""


def conflict(part: str, listener: Listener, held_by: str) -> PortBusy:
    """The sentence for a taken port."""
    by = f" by {held_by}" if held_by else ""
    name = listener.setting.upper()
    return PortBusy(
        f"{part} cannot listen on {listener.address}: the port is taken{by}.",
        remedy=f"Stop that process, or choose another port with SAGESTREAM_{name}"
        " (all of them together: SAGESTREAM_PORT_BASE).",
    )


def _describe(pid: int | None) -> str:
    if pid is None:
        return ""
    try:
        return f"pid {pid} ({psutil.Process(pid).name()})"
    except psutil.Error:
        return f"pid {pid}"
