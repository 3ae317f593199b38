"""The chart on a real API server: what is refused, what rolls, what is kept, what is left."""

import hashlib
import json
from base64 import b64decode

import pytest

from scripts.chart.rendering import environments
from tests.tools.kubernetes import Refused
from tests.tools.releases import Release, values

MANY = values("production", "autoscaling.enabled=false", "replicaCount=3")
"""Three pods, whose number nothing else changes."""
FEWEST = {"dev": 1, "staging": 2, "production": 3}
VOLUME = "retrieval-data"
OWN = "--set=apiKeys.existingSecret="
MADE = ("retrieval-generated-api-keys", "retrieval-generated-admin-key")


@pytest.mark.parametrize("environment", environments())
def test_each_environment_is_installed_by_one_command_and_leaves_nothing_but_its_documents(
    release: Release, environment: str
) -> None:
    before = release.objects()

    release.install(*values(environment))
    release.settle(FEWEST[environment])  # the autoscaler has raised the number, where there is one
    for one in release.get("deployments,statefulsets")["items"]:
        assert one["status"]["readyReplicas"] == one["spec"]["replicas"]

    release.uninstall()
    assert release.objects() - before <= {"persistentvolumeclaim/retrieval-data"}


def test_the_namespace_refuses_pods_that_the_restricted_standard_forbids(release: Release) -> None:
    release.install(*MANY)

    with pytest.raises(Refused, match='violates PodSecurity "restricted'):
        release.kubectl("run", "careless", "--image=careless")


def test_a_changed_setting_replaces_the_pods_and_an_unchanged_one_does_not(release: Release) -> None:
    release.install(*MANY)
    first = release.settle(3)

    release.upgrade(*MANY)
    assert release.settle(3) == first

    release.upgrade(*MANY, "--set=settings.log_level=debug")
    assert not release.settle(3) & first


def test_a_rollback_brings_the_former_settings_back(release: Release) -> None:
    release.install(*MANY)
    before = release.get("configmaps")["items"]
    release.upgrade(*MANY, "--set=settings.log_level=debug")
    assert _data(release.get("configmaps")["items"]) != _data(before)

    release.rollback(1)

    assert _data(release.get("configmaps")["items"]) == _data(before)
    release.settle(3)


def test_no_moment_of_an_upgrade_has_fewer_pods_ready_than_before(release: Release) -> None:
    release.install(*MANY)
    first = release.settle(3)

    with release.upgrading(*MANY, "--set=settings.log_level=debug") as is_going_on:
        fewest = 3
        while is_going_on():
            fewest = min(fewest, len(release.ready_pods()))

    assert fewest == 3
    assert not release.settle(3) & first


def test_uninstalling_removes_the_volume_too_where_it_is_told_to(release: Release) -> None:
    before = release.objects()
    release.install("--set=persistence.keepAtUninstall=false")
    assert "persistentvolumeclaim/retrieval-data" in release.objects()

    release.uninstall()

    assert release.objects() <= before


def test_a_volume_that_was_made_outlives_being_named_as_one_that_exists(release: Release) -> None:
    release.install("--set=persistence.keepAtUninstall=false")
    made = _volume(release)

    named = f"--set=persistence.existingClaim={VOLUME}"
    release.upgrade("--set=persistence.keepAtUninstall=false", named, "--set=persistence.size=1Gi")

    assert _volume(release) == made


def test_a_volume_that_somebody_else_made_under_the_same_name_is_used_and_left(release: Release) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    names = {"name": VOLUME, "namespace": release.namespace}
    release.cluster.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": names, "spec": spec})
    theirs = _volume(release)

    release.install("--set=persistence.keepAtUninstall=false", f"--set=persistence.existingClaim={VOLUME}")
    release.settle(1)
    release.uninstall()

    assert _volume(release) == theirs


@pytest.mark.parametrize("misspelt", ["settings.log_levle=info", "replicaCuont=2", "ingress.rateLimit.burts=3"])
def test_a_misspelt_value_is_refused_and_nothing_is_installed(release: Release, misspelt: str) -> None:
    name = misspelt.partition("=")[0].rpartition(".")[2]

    with pytest.raises(Refused, match=name):
        release.install(*MANY, f"--set={misspelt}")

    assert release.get("secrets,deployments,services")["items"] == []


def test_the_admin_key_made_at_the_first_install_is_kept(release: Release) -> None:
    release.install(*MANY, OWN)
    first = _made(release)

    release.upgrade(*MANY, OWN, "--set=settings.log_level=debug")
    assert _made(release) == first

    release.rollback(1)
    assert _made(release) == first


@pytest.mark.parametrize("lost", MADE)
def test_half_of_an_admin_key_is_made_anew_with_the_other(release: Release, lost: str) -> None:
    release.install(*MANY, OWN)
    first = _made(release)
    release.kubectl("delete", "secret", lost)

    release.upgrade(*MANY, OWN)

    file, key = _made(release)
    assert (file, key) not in [first, (first[0], key), (file, first[1])]
    assert _hash_in(file) == hashlib.sha256(b64decode(key["admin-key"])).hexdigest()


def test_a_leaked_admin_key_does_not_come_back_once_its_revisions_are_dropped(release: Release) -> None:
    release.install(*MANY, OWN)
    leaked = _made(release)
    release.kubectl("delete", "secret", *MADE)
    release.upgrade(*MANY, OWN)
    assert _made(release) != leaked

    release.rollback(1)
    assert _made(release) == leaked  # as long as helm knows it

    release.kubectl("delete", "secret", *MADE)
    release.upgrade(*MANY, OWN)
    release.kubectl("delete", "secret", "--selector=owner=helm,name=retrieval,status=superseded")
    with pytest.raises(Refused):
        release.rollback(1)
    assert _made(release) != leaked


def test_an_admin_key_of_another_tenant_is_not_kept_in_silence(release: Release) -> None:
    release.install(*MANY, OWN)

    with pytest.raises(Refused, match="the admin key that was made is of the tenant default"):
        release.upgrade(*MANY, OWN, "--set=apiKeys.tenant=acme")


def test_a_secret_of_ones_own_outlives_the_one_that_was_made_and_the_release(release: Release) -> None:
    release.install(*MANY, OWN)
    documented = "retrieval-api-keys"
    release.kubectl("create", "secret", "generic", documented, '--from-literal=keys.json={"keys": []}')
    mine = release.secret(documented)

    release.upgrade(*MANY, f"--set=apiKeys.existingSecret={documented}")
    assert release.secret(documented) == mine
    names = {one["metadata"]["name"] for one in release.get("secrets", "--field-selector=type=Opaque")["items"]}
    assert names.isdisjoint(MADE)

    release.uninstall()
    assert release.secret(documented) == mine


def test_the_pods_fit_into_the_quota_and_the_limits_of_the_namespace(release: Release) -> None:
    bounded = (*MANY, "--set=resourceQuota.enabled=true,limitRange.enabled=true")
    release.install(*bounded)

    release.upgrade(*bounded, "--set=settings.log_level=debug")  # one pod more for a while

    release.settle(3)
    (quota,) = release.get("resourcequotas")["items"]
    assert int(quota["status"]["used"]["pods"]) >= 3
    assert release.get("limitranges")["items"]


def _volume(release: Release) -> tuple[str, str, bool]:
    """Return which claim of that name there is, how large it is, and whether it is going."""
    claim = release.get("persistentvolumeclaim", VOLUME)
    found = claim["metadata"]
    return found["uid"], claim["spec"]["resources"]["requests"]["storage"], "deletionTimestamp" in found


def _made(release: Release) -> tuple[dict[str, str], dict[str, str]]:
    """Return the file of keys and the key that were made."""
    file, key = map(release.secret, MADE)
    return file, key


def _hash_in(file: dict[str, str]) -> str:
    (key,) = json.loads(b64decode(file["keys.json"]))["keys"]
    return str(key["sha256"])


def _data(maps: list[dict[str, dict[str, str]]]) -> list[dict[str, str]]:
    return [one["data"] for one in maps]
