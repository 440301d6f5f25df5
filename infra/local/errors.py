"""What can go wrong on one machine, sorted by what the person at the keyboard can do.

SagestreamError
├── RetryLater
│   ├── Offline                 a download did not come through: try again when online
│   └── AnotherUpRunning        a second `up` or `down` works on this folder: wait for it
├── RejectedInput
│   └── UnknownPart             no part has that name: look at the list
└── CannotRun
    ├── MachineLacks            Java, disk, memory, a package: install or free it
    ├── FolderUnusable          the data folder cannot be written: choose another
    ├── PortBusy                somebody else listens there: stop it or choose another port
    ├── DamagedJar              a downloaded jar is not the one that was locked
    └── PartFailed              a component stopped or never became ready: read its log
"""

from __future__ import annotations

from infra.errors import CannotRun, RejectedInput, RetryLater


class Offline(RetryLater):
    """The jar repository cannot be reached."""


class AnotherUpRunning(RetryLater):
    """Another process holds the lock of the data folder."""


class UnknownPart(RejectedInput):
    """A part was asked for that does not exist."""

    exit_code = 2


class MachineLacks(CannotRun):
    """Something the platform needs is not on this machine."""


class FolderUnusable(CannotRun):
    """The data folder cannot be created or written."""


class PortBusy(CannotRun):
    """A port of the platform is taken by a process that is not part of it."""


class DamagedJar(CannotRun):
    """A jar's content differs from its locked checksum."""


class PartFailed(CannotRun):
    """A component ended or did not become ready in time."""
