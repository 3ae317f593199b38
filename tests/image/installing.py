"""Does on this machine what the Dockerfile does in an image: its own commands, with other paths."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, TextIO

from tests.image.dockerfile import ROOT, Instruction, instructions

USER: Final = 65532
PATHS: Final = ("/opt/", "/build", "/data")
"""Of the Dockerfile, which lie below the new root here."""


class Installed:
    """What the image would hold, below `root`, and how its processes are run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = root / "opt" / "retrieval"
        self._last = [one for one in instructions() if one.stage == 1]

    def instruction(self, name: str) -> Instruction:
        """Return the one of that name in the last stage."""
        (found,) = [one for one in self._last if one.name == name]
        return found

    def environment(self) -> dict[str, str]:
        """Return the image's own variables and no others: HOME is not among them."""
        pairs = [word.partition("=") for word in shlex.split(self.instruction("ENV").value)]
        values = {name: below(self.root, value) for name, _, value in pairs}
        return values | {"PATH": values["PATH"].replace("${PATH}", "/usr/bin:/bin")}

    def start(self, command: list[str], log: TextIO | None = None, **environment: str) -> subprocess.Popen[str]:
        """Run a command as the image's user, who owns nothing but the data directory; a log takes what it prints."""
        return subprocess.Popen(
            command,
            env=self.environment() | environment,
            cwd="/",
            stdout=log or subprocess.PIPE,
            stderr=log or subprocess.PIPE,
            text=True,
            user=USER if is_root() else None,
            group=USER if is_root() else None,
            extra_groups=[] if is_root() else None,
            executable=shutil.which(command[0], path=self.environment()["PATH"]),
        )

    def files(self) -> set[Path]:
        """Return all that is installed."""
        return set(self.tree.rglob("*"))


def install(root: Path) -> Installed:
    """Run the COPY and RUN instructions of both stages."""
    commands = _commands(root / "bin")
    for one in instructions():
        if one.name == "COPY" and not one.flags:
            _copy(root / "build", one.value.split())
        elif one.name == "RUN":
            script = below(root, one.value if is_root() else _without_owner(one.value))
            path = f"{commands}:{os.environ['PATH']}"
            done = subprocess.run(
                ["/bin/sh", "-eu", "-c", script],
                cwd=root / "build",
                env=os.environ | {"PATH": path},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"{script}\n{done.stdout}{done.stderr}")
    keys = root / "keys"
    keys.mkdir()
    if is_root():
        os.chown(keys, USER, USER)
    return Installed(root)


def below(root: Path, text: str) -> str:
    """Return a text of the Dockerfile with its paths below another root."""
    for path in PATHS:
        text = text.replace(path, f"{root}{path}")
    return text


def is_root() -> bool:
    """Whether another user can be taken on."""
    return os.geteuid() == 0


def _commands(folder: Path) -> Path:
    """Make `python` and `pip` as the base image has them; a Python of the system's can be read by every user."""
    folder.mkdir()
    system = Path("/usr/bin/python3.11")
    (folder / "python").symlink_to(system if system.exists() else Path(sys.executable).resolve())
    (folder / "pip").write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
    (folder / "pip").chmod(0o755)
    return folder


def _copy(folder: Path, words: list[str]) -> None:
    *sources, target = words
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / target, ignore=ignored)
        else:
            (folder / target).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, folder / target)


def _without_owner(script: str) -> str:
    return " ".join(word for word in script.split(" ") if not word.startswith(("--owner=", "--group=")))
