"""The engine's own configuration files: small caches, and a user that cannot reach outside."""

from __future__ import annotations

from pathlib import Path

from infra.local.clickhouse.errors import FolderUnsuitable
from infra.local.clickhouse.limits import Limits

# Every connection starts with these: the embedded engine's defaults differ from a server's.
_CONNECTION_SETTINGS = {
    "implicit_select": "0",
    "allow_introspection_functions": "0",
    "storage_file_read_method": "pread",
}
_NOT_IN_A_PATH = set("?&#%\n")

_CONFIG = """<clickhouse>
    <users_config>{users}</users_config>
    <user_files_path>{files}/</user_files_path>
    <format_schema_path>{files}/</format_schema_path>
    <max_server_memory_usage>{memory}</max_server_memory_usage>
    <mark_cache_size>67108864</mark_cache_size>
    <index_mark_cache_size>16777216</index_mark_cache_size>
    <primary_index_cache_size>16777216</primary_index_cache_size>
    <query_condition_cache_size>16777216</query_condition_cache_size>
    <compiled_expression_cache_size>16777216</compiled_expression_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <mmap_cache_size>0</mmap_cache_size>
    <max_thread_pool_free_size>2</max_thread_pool_free_size>
    <max_io_thread_pool_free_size>0</max_io_thread_pool_free_size>
</clickhouse>
"""

# No source may be read and nothing outside the folder written; the databases that the engine
# itself needs cannot be dropped. Accounts and their passwords are judged before the engine.
_USERS = """<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password></password>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT SHOW, SELECT, INSERT, ALTER, CREATE, DROP, UNDROP TABLE, TRUNCATE,
                    OPTIMIZE, CHECK, KILL QUERY, dictGet ON *.*</query>
                <query>GRANT SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM FLUSH, SYSTEM DROP CACHE
                    ON *.*</query>
                <query>GRANT TABLE ENGINE ON *</query>
                <query>REVOKE DROP DATABASE ON default.*</query>
                <query>REVOKE DROP, TRUNCATE, ALTER, INSERT, CREATE ON system.*</query>
                <query>REVOKE DROP DATABASE ON information_schema.*</query>
                <query>REVOKE DROP DATABASE ON INFORMATION_SCHEMA.*</query>
            </grants>
        </default>
    </users>
</clickhouse>
"""


def write_config(folder: Path, limits: Limits) -> str:
    """Write the files under `folder` and return the engine's connection string.

    Raises:
        FolderUnsuitable: the folder cannot be written, or its name cannot be told to the engine.
    """
    strange = sorted(_NOT_IN_A_PATH & set(str(folder)))
    if strange:
        raise FolderUnsuitable(
            f"The engine cannot use the folder {folder}: its name holds {' '.join(strange)!r}.",
            remedy="Choose another folder: set SAGESTREAM_HOME.",
        )
    users = folder / "users.xml"
    config = folder / "config.xml"
    files = folder / "user_files"
    try:
        files.mkdir(parents=True, exist_ok=True)
        _replace(users, _USERS)
        memory = limits.server_memory_bytes
        _replace(config, _CONFIG.format(users=_xml(users), files=_xml(files), memory=memory))
    except OSError as error:
        raise FolderUnsuitable(
            f"The folder {folder} cannot be written ({error.strerror}).",
            remedy="Free space, mend its rights, or choose another: set SAGESTREAM_HOME.",
        ) from error
    options = {"config-file": str(config), **_CONNECTION_SETTINGS}
    joined = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{folder / 'data'}?{joined}"


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(path)


def _xml(path: Path) -> str:
    return str(path).replace("&", "&amp;").replace("<", "&lt;")
