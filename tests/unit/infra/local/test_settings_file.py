"""settings.env lets every later command find the platform."""

from __future__ import annotations

import stat
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from infra.local import settings_file
from infra.settings import load


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAGESTREAM_PORT_BASE", raising=False)


def passwords() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"password-{next(numbers)}"


def test_every_store_gets_a_password_of_its_own(tmp_path: Path) -> None:
    lines = settings_file.render(load(home=tmp_path), passwords())

    made = [lines[name] for name in settings_file.PASSWORDS]
    assert len(set(made)) == len(settings_file.PASSWORDS)


def test_passwords_survive_the_next_up(tmp_path: Path) -> None:
    path = tmp_path / "settings.env"
    first = settings_file.render(load(home=tmp_path), passwords())
    settings_file.write(path, first)

    again = settings_file.render(load(home=tmp_path), settings_file.new_password)

    assert again == first


def test_a_chosen_port_is_kept_and_the_others_follow_the_base(tmp_path: Path) -> None:
    chosen = load(home=tmp_path, port_base=21000, kafka_port=9092)

    lines = settings_file.render(chosen, passwords())

    assert lines["port_base"] == "21000"
    assert lines["kafka_port"] == "9092"
    assert "postgres_port" not in lines


def test_later_commands_load_what_was_written(tmp_path: Path) -> None:
    lines = settings_file.render(load(home=tmp_path, port_base=21000), passwords())
    settings_file.write(tmp_path / "settings.env", lines)

    found = load(home=tmp_path)

    assert found.postgres_port == 21032
    assert found.postgres_password.get_secret_value() == lines["postgres_password"]


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.env"
    path.write_text("")
    path.chmod(0o644)

    settings_file.write(path, {"port_base": "18000"})

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "settings.env"
    lines = {"port_base": "18000", "redis_password": "a=b#c"}

    settings_file.write(path, lines)

    assert settings_file.read(path) == lines


def test_a_missing_file_reads_as_nothing(tmp_path: Path) -> None:
    assert settings_file.read(tmp_path / "settings.env") == {}
