"""The servers that tests bring and start leave a developer's machine as closed as it was."""

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.tools import install
from tests.tools.install import FORBIDDEN, no_server_starting
from tests.tools.nginx import nginx_before
from tests.tools.running import end
from tests.tools.weaviate import weaviate_server


def test_while_packages_are_installed_none_may_start_its_server(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with no_server_starting(policy):
        assert subprocess.run([policy, "nginx", "start"], check=False).returncode == FORBIDDEN
    assert not policy.exists()


def test_a_policy_of_the_machines_own_is_left_as_it_is(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    with no_server_starting(policy):
        assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_who_may_not_install_packages_is_told_which_are_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    install._install_packages(["nginx-light", "wrk"])
    assert "nginx-light and wrk" in capsys.readouterr().err


def test_weaviate_listens_beyond_this_machine_only_where_it_knows_no_other_way() -> None:
    with weaviate_server() as node:
        listening = [
            one for one in psutil.Process(node.process.pid).net_connections() if one.status in ("LISTEN", "NONE")
        ]
        open_ports = {one.laddr.port for one in listening if one.laddr.ip != "127.0.0.1"}
        assert {one.laddr.port for one in listening} >= set(node.ports.values())
    assert open_ports == {node.ports["grpc"], node.ports["data"]}


def test_an_nginx_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.tools.nginx.render", lambda *_: "no_such_directive on;\n")
    with pytest.raises(RuntimeError, match="no_such_directive"), nginx_before(["127.0.0.1:1"]):
        pass


def test_what_does_not_end_when_told_is_killed() -> None:
    with subprocess.Popen(
        ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do :; done"], stdout=subprocess.PIPE
    ) as stubborn:
        assert stubborn.stdout
        stubborn.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            end(stubborn, 0.1)
        assert stubborn.poll() is not None
