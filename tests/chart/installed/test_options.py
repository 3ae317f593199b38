"""Every option of the chart before a real API server, which knows rules between fields that no schema tells."""

from collections.abc import Iterator

import pytest
import yaml

from scripts.chart.rendering import render
from tests.chart.options import OPTIONS
from tests.tools.kubernetes import RunningKubernetes
from tests.tools.releases import Release, new_namespace


@pytest.fixture(scope="module")
def trial(kubernetes: RunningKubernetes) -> Iterator[Release]:
    """A namespace in which things are tried and nothing is made but the account that pods, even tried ones, need."""
    with new_namespace(kubernetes) as namespace:
        release = Release(kubernetes, namespace)
        release.kubectl("create", "serviceaccount", "retrieval")
        yield release


@pytest.mark.parametrize("option", OPTIONS)
def test_the_api_server_accepts_every_object_of_an_option_without_a_warning(trial: Release, option: str) -> None:
    objects = yaml.safe_dump_all(render("", OPTIONS[option]))

    trying = ("apply", "--server-side", "--dry-run=server", "--warnings-as-errors", f"--namespace={trial.namespace}")
    accepted = trial.cluster.kubectl(*trying, "--filename=-", given=objects)

    assert "deployment.apps/retrieval serverside-applied" in accepted
