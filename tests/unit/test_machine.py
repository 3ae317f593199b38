from pathlib import Path

import pytest

from service.machine import usable_cores


@pytest.mark.parametrize(("quota", "cores"), [("50000 100000\n", 1), ("100000 100000\n", 1), ("max 100000\n", None)])
def test_a_container_uses_no_more_cores_than_its_limit(tmp_path: Path, quota: str, cores: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert usable_cores(file) == (cores or usable_cores(tmp_path / "none"))


def test_a_limit_above_the_machine_is_the_machine(tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    file.write_text("100000000 100000\n")
    assert usable_cores(file) == usable_cores(tmp_path / "none")
