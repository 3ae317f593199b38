from pathlib import Path

import pytest

from service.machine import memory_limit, usable_cores


@pytest.mark.parametrize(("quota", "cores"), [("50000 100000\n", 1), ("100000 100000\n", 1), ("max 100000\n", None)])
def test_a_container_uses_no_more_cores_than_its_limit(tmp_path: Path, quota: str, cores: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert usable_cores(file) == (cores or usable_cores(tmp_path / "none"))


def test_a_limit_above_the_machine_is_the_machine(tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    file.write_text("100000000 100000\n")
    assert usable_cores(file) == usable_cores(tmp_path / "none")


@pytest.mark.parametrize(("limit", "allowed"), [("1073741824\n", 1 << 30), ("max\n", None)])
def test_a_containers_limit_of_memory_is_known(tmp_path: Path, limit: str, allowed: int | None) -> None:
    file = tmp_path / "memory.max"
    file.write_text(limit)
    assert memory_limit(file) == allowed


def test_without_a_container_there_is_no_limit_of_memory(tmp_path: Path) -> None:
    assert memory_limit(tmp_path / "memory.max") is None
