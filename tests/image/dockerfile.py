"""Reads the Dockerfile as a list of instructions, so that tests can hold it to rules and run what it runs."""

import json
import re
from pathlib import Path
from typing import Final

from msgspec import Struct

ROOT: Final = Path(__file__).parents[2]
FLAG: Final = re.compile(r"--(\S+)\s+")


class Instruction(Struct, frozen=True):
    """One instruction of a stage; stages are counted from 0, what stands before them is in stage -1."""

    stage: int
    name: str
    flags: tuple[str, ...]
    value: str

    @property
    def words(self) -> list[str]:
        """What an instruction in exec form holds; raises ValueError where it is in shell form."""
        words: list[str] = json.loads(self.value)
        return words


def instructions(file: Path = ROOT / "Dockerfile") -> list[Instruction]:
    """Return the instructions, continued lines joined, comments left out, ARG values put in."""
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
    found: list[Instruction] = []
    stage, arguments = -1, dict[str, str]()
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, rest = line.partition(" ")
        stage += name == "FROM"
        flags, value = _without_flags(rest.strip())
        for argument, default in arguments.items():
            value = value.replace(f"${{{argument}}}", default)
        if name == "ARG":
            argument, _, default = value.partition("=")
            arguments[argument] = default
        found.append(Instruction(stage, name, flags, value))
    return found


def _without_flags(text: str) -> tuple[tuple[str, ...], str]:
    flags = []
    while flag := FLAG.match(text):
        flags.append(flag[1])
        text = text[flag.end() :]
    return tuple(flags), text
