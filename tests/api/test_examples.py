"""The examples of README and docs/api.md are run as they stand there, from top to bottom."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.running import running_service

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"


def examples(page: str) -> list[str]:
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return [block for block in blocks if not block.startswith("make")]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_the_examples_of_a_page_succeed(page: str) -> None:
    assert examples(page)
    command = f"{shlex.quote(sys.executable)} -m service"
    with running_service() as service:
        for block in examples(page):
            script = re.sub(r"(?m)^(\.venv/bin/)?retrieval ", f"{command} ", block)
            script = script.replace(ADDRESS, service.url).replace("curl -s", "curl --fail-with-body -s")
            ran = subprocess.run(
                ["/bin/bash", "-euc", script],
                cwd=ROOT,
                env={"RETRIEVAL_CLIENT_URL": service.url, "PATH": "/usr/local/bin:/usr/bin:/bin"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, f"{block}\n{ran.stdout}\n{ran.stderr}"
            assert '"hits":[]' not in ran.stdout
            assert '"answers":[]' not in ran.stdout
