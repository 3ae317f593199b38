"""Addresses of Redis, good and bad."""

from pathlib import Path

import pytest

from service.caches.redis.urls import RedisAddress, read_url
from service.errors import InvalidSettings

PASSWORD = "p@ss/"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://host", RedisAddress(kind="single", hosts=[("host", 6379)])),
        ("redis://host:1234/", RedisAddress(kind="single", hosts=[("host", 1234)])),
        ("rediss://host/3", RedisAddress(kind="single", hosts=[("host", 6379)], database=3, has_tls=True)),
        ("redis://[::1]:1234/2", RedisAddress(kind="single", hosts=[("::1", 1234)], database=2)),
        (
            "redis://me:p%40ss%2F@host",
            RedisAddress(kind="single", hosts=[("host", 6379)], username="me", password=PASSWORD),
        ),
        ("redis://:p%40ss%2F@host", RedisAddress(kind="single", hosts=[("host", 6379)], password=PASSWORD)),
        (
            "sentinel://a,b:1,[::2]:3/the%20master/4?sentinel_password=p%40ss%2F",
            RedisAddress(
                kind="sentinel",
                hosts=[("a", 26379), ("b", 1), ("::2", 3)],
                master="the master",
                database=4,
                sentinel_password=PASSWORD,
            ),
        ),
        ("redis+sentinel://a/m", RedisAddress(kind="sentinel", hosts=[("a", 26379)], master="m")),
        ("sentinel+tls://a/m", RedisAddress(kind="sentinel", hosts=[("a", 26379)], master="m", has_tls=True)),
        (
            "cluster://me:p%40ss%2F@a:7000,b:7001",
            RedisAddress(kind="cluster", hosts=[("a", 7000), ("b", 7001)], username="me", password=PASSWORD),
        ),
        (
            "cluster+tls://a/0?ssl_cert_reqs=none",
            RedisAddress(
                kind="cluster",
                hosts=[("a", 6379)],
                has_tls=True,
                tls={"ssl_cert_reqs": "none", "ssl_check_hostname": False},
            ),
        ),
    ],
)
def test_an_address_is_read(url: str, address: RedisAddress) -> None:
    assert read_url(url) == address


def test_a_password_given_apart_wins() -> None:
    assert read_url("redis://me:one@host", "two").password == "two"


def test_the_files_of_tls_are_named_by_options(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.touch()
    assert read_url(f"rediss://host?ssl_ca_certs={file}").tls == {"ssl_ca_certs": str(file)}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "it has no scheme"),
        ("localhost:6379", "it begins with 'localhost'"),
        ("http://host", "it begins with 'http'"),
        ("redis://", "it names no host"),
        ("redis://user:secret@", "it names no host"),
        ("redis://a,b", "it names several hosts"),
        ("redis://host:secret", "it cannot be read"),
        ("redis://user:secret@host:99999", "it cannot be read"),
        ("redis://[::1", "it cannot be read"),
        ("redis://host/zero", "its path '/zero' is not the number of a database"),
        ("redis://host/0/1", "its path '/0/1' is not the number of a database"),
        ("sentinel://host", "it does not name the master"),
        ("sentinel://host/master/x", "not the number of a database"),
        ("cluster://host/1", "a cluster has database 0 only"),
        ("redis://host?ssl_cert_reqs=none", "the option 'ssl_cert_reqs', where it can have none"),
        ("rediss://host?retries=3", "the option 'retries', where it can have ssl_ca_certs, "),
        ("rediss://host?ssl_cert_reqs=maybe", "ssl_cert_reqs is one of none, optional, required"),
        ("rediss://host?ssl_ca_certs=/nowhere", "there is no file '/nowhere', which ssl_ca_certs names"),
    ],
)
def test_a_bad_address_is_refused_with_a_good_one(url: str, reason: str) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read_url(url)
    message = str(refusal.value)
    assert message.startswith("RETRIEVAL_REDIS_URL is no address of Redis, ")
    assert reason in message
    assert "write redis://host:6379/0" in message
    assert "secret" not in message
