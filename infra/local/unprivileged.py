"""PostgreSQL refuses to run as root, so root lends it an account of its own.

Not root: nothing happens here and the server runs as the caller.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from pathlib import Path

from infra.local.errors import MachineLacks

ACCOUNT = "sagestream-postgres"
_USERADD_TIMEOUT_S = 30
_WALK = stat.S_IXGRP | stat.S_IXOTH


def user_id() -> int | None:
    """The account to run as; None when we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT).pw_uid
    except KeyError:
        return _create_account()


def group_id(user: int | None) -> int | None:
    """The account's own group; None when it runs as we do."""
    return None if user is None else pwd.getpwuid(user).pw_gid


def give(path: Path, owner: int) -> None:
    """Make the account the owner of one file or folder."""
    os.chown(path, owner, pwd.getpwuid(owner).pw_gid)


def open_path(path: Path) -> None:
    """Let others walk through (not list) the folders above `path`, as the account must."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if mode & _WALK != _WALK:
            folder.chmod(mode | _WALK)


def _create_account() -> int:
    command = ("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT)
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_USERADD_TIMEOUT_S)
        return pwd.getpwnam(ACCOUNT).pw_uid
    except (OSError, subprocess.SubprocessError, KeyError) as error:
        raise MachineLacks(
            f"PostgreSQL does not run as root, and the account {ACCOUNT} could not be created.",
            remedy="Run `sagestream up` as an ordinary user, or create that account.",
        ) from error
