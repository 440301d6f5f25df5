"""One hash of everything that must be the same after any replay, restart or order of arrival."""

from __future__ import annotations

import hashlib

from ingestion.events.canonical import canonical_json
from storage.postgres.errors import translated
from storage.postgres.pool import Connection, transaction

# Left out: ids, times of writing, engines, generations (they say how a result came about), and
# rows that count nothing any more.
_WINDOWS = """
SELECT client_id, session_id, (extract(epoch FROM window_start) * 1000)::bigint AS start_ms,
    revision, observations
FROM session_windows
WHERE revision > 0
ORDER BY client_id COLLATE "C", session_id COLLATE "C", start_ms
"""
_PATTERNS = """
SELECT pattern_hash, sample_size, success_ppm_sum, confidence_score::text, client_count
FROM success_patterns
WHERE sample_size > 0
ORDER BY pattern_hash COLLATE "C"
"""


def state_hash(connection: Connection) -> str:
    """SHA-256 (hex) over windows and patterns, as of one moment.

    The connection must not be in a transaction.
    """
    digest = hashlib.sha256()
    with transaction(connection), translated():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for statement in (_WINDOWS, _PATTERNS):
            with connection.cursor(name="state_hash") as cursor:
                cursor.itersize = 5_000
                for row in cursor.execute(statement):
                    digest.update(canonical_json(row))
                    digest.update(b"\n")
            digest.update(b"\n")
    return digest.hexdigest()
