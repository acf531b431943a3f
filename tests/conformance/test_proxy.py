"""The package behind Debian's tinyproxy: every service of the sandbox uses TLS and is reachable through the proxy only."""

from urllib.parse import urlsplit

import pytest
from harness import Function, Sandbox, Tinyproxy


@pytest.fixture(scope="module")
def proxy(folder):
    proxy = Tinyproxy(folder)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def tls(folder):
    sandbox = Sandbox(folder, {"SANDBOX_TLS": "localhost"})
    yield sandbox
    sandbox.stop()


@pytest.fixture
def arn(tls, monkeypatch, request):
    """A secret with a valid token. AWS's own client puts it, without the proxy."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.authority))
    token = tls("token", user=tls.scene["user"], scope="repo:read")["token"]
    return tls.secret(f"hubkeeper/{request.node.name}", tls.document(token))


def test_each_service_is_reached_through_the_proxy(tls, proxy, arn, folder, stopping, count):
    function = stopping(Function(tls, folder, HTTPS_PROXY=proxy.url(), NO_PROXY=""))
    assert function({"action": "onboard", "secretId": arn})["outcome"] == "applied"
    assert function({"action": "verify", "secretId": arn})["outcome"] == "proven"
    services = {urlsplit(value).port for value in tls.environment.values() if value.startswith("https://")}
    assert len(services) == 6
    assert proxy.ports() == services
    leaks = tls("secrets_in", texts=[function.output()], also=[Tinyproxy.PASSWORD])["leaks"]
    assert not leaks
    count("services behind tinyproxy", len(services))


def test_a_wrong_password_is_told_and_leads_nowhere(tls, proxy, arn, folder, stopping):
    before = tls("requests")["requests"]
    function = stopping(Function(tls, folder, HTTPS_PROXY=proxy.url("an0ther-passw0rd"), NO_PROXY=""))
    answer = function({"action": "verify", "secretId": arn})
    # tinyproxy returns 401 where other proxies return 407
    assert answer["errorType"] == "Retryable"
    assert "correct the user and password in HTTPS_PROXY" in answer["errorMessage"]
    assert f"127.0.0.1:{proxy.port}" in answer["errorMessage"]
    assert tls("requests")["requests"] == before
    assert not tls("secrets_in", texts=[str(answer), function.output()], also=["an0ther-passw0rd"])["leaks"]


def test_a_proxy_that_wants_a_password_is_told(tls, proxy, arn, folder, stopping):
    function = stopping(Function(tls, folder, HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}", NO_PROXY=""))
    answer = function({"action": "verify", "secretId": arn})
    assert answer["errorType"] == "Misconfigured"
    assert "407" in answer["errorMessage"]


def test_no_proxy_leads_around_it(tls, arn, folder, stopping):
    function = stopping(Function(tls, folder, HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY="localhost"))
    assert function({"action": "verify", "secretId": arn})["outcome"] == "proven"
