"""The Docker Hub API: the recorded exchanges are valid under Docker's OpenAPI document."""

import copy
import json
from urllib.parse import parse_qsl, urlsplit

import hub_spec
import pytest
import requests
import yaml
from harness import recorded, spec
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse
from openapi_spec_validator import OpenAPIV30SpecValidator


@pytest.fixture(scope="module")
def api():
    return hub_spec.load()


@pytest.fixture(scope="module")
def entries():
    return recorded("Hub")


def reasons(error):
    """An error with its causes."""
    lines = []
    while error:
        lines.append(f"{type(error).__name__}")
        lines += [f"{list(cause.absolute_path)}: {cause.message}" for cause in getattr(error, "schema_errors", None) or ()]
        if isinstance(error, OpenAPIError) and not getattr(error, "schema_errors", None) and not error.__cause__:
            lines.append(str(error))
        error = error.__cause__
    return "; ".join(lines)


def violations(api, entry):
    """The violations in an exchange: those of the request and those of the response."""
    url, asked, answered = urlsplit(entry["uri"]), entry["request"], entry["response"]
    request = MockRequest(
        "https://hub.docker.com", entry["method"].lower(), url.path, args=dict(parse_qsl(url.query)), headers=asked["headers"],
        data=asked["body"].encode() or None, content_type=asked["headers"].get("content-type", ""),
    )
    response = MockResponse(
        answered["body"].encode(), entry["status"], headers=answered["headers"],
        content_type=answered["headers"].get("content-type", "").split(";")[0],
    )
    found = []
    for side, check in (("request", lambda: api.validate_request(request)), ("response", lambda: api.validate_response(request, response))):
        try:
            check()
        except OpenAPIError as error:
            found.append(f"{side} {entry['method']} {url.path} {entry['status']}: {reasons(error)}")
    return found


def test_the_mended_document_is_one(count):
    document = hub_spec.corrected(yaml.safe_load(spec("docker-hub.openapi.yaml").read_text()))
    assert [error.message for error in OpenAPIV30SpecValidator(document).iter_errors()] == []
    count("known faults of Docker's document, each with its reason", len(hub_spec.FAULTS))


def test_the_suite_holds_against_dockers_document(api, entries, count):
    seen = {(entry["method"], urlsplit(entry["uri"]).path.split("/")[2], entry["status"]) for entry in entries}
    wanted = {
        ("POST", "auth", 200), ("POST", "auth", 401), ("POST", "users", 200), ("POST", "users", 401), ("GET", "namespaces", 200),
        ("GET", "access-tokens", 200), ("POST", "access-tokens", 201), ("PATCH", "access-tokens", 200), ("DELETE", "access-tokens", 204),
    }
    assert wanted <= seen, f"the record is not the suite's: {sorted(seen)}"
    found = [violation for entry in entries for violation in violations(api, entry)]
    assert not found, "\n".join(found[:20])
    count("exchanges with Docker Hub validated", len(entries))


def test_the_sandbox_answers_as_documented_where_the_suite_never_asks(api, sandbox, count):
    """Errors, and routes that the function does not use: one request each, sent by hand."""
    base, scene = sandbox.environment["HUBKEEPER_HUB_URL"], sandbox.scene
    user = scene["user"]
    made = sandbox("token", user=user, scope="repo:read")
    http = requests.Session()
    http.trust_env = False
    checked = []

    def ask(status, method, path, bearer=None, **more):
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        answer = http.request(method, base + path, headers=headers, timeout=10, **more)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)

        def lower(headers):
            return {name.lower(): value for name, value in headers.items()}

        checked.append({
            "method": method, "uri": path, "status": status,
            "request": {"headers": lower(answer.request.headers), "body": (answer.request.body or b"").decode()},
            "response": {"headers": lower(answer.headers), "body": answer.text},
        })
        return answer.json() if answer.content else None

    password = sandbox("password", user=user)["password"]
    by_password = ask(200, "POST", "/v2/users/login", json={"username": user, "password": password})["token"]
    ask(401, "POST", "/v2/users/login", json={"username": user, "password": "wrong"})
    by_token = ask(200, "POST", "/v2/auth/token", json={"identifier": user, "secret": made["token"]})["access_token"]
    ask(401, "POST", "/v2/auth/token", json={"identifier": user, "secret": "wrong"})
    ask(401, "POST", "/v2/users/2fa-login", json={"login_2fa_token": "none", "code": "123456"})
    tokens, one = "/v2/access-tokens", f"/v2/access-tokens/{made['uuid']}"
    minted = ask(201, "POST", tokens, by_password, json={"token_label": "x", "scopes": ["repo:read"], "expires_at": "2099-01-01T00:00:00Z"})
    ask(201, "POST", tokens, by_password, json={"token_label": "without an end", "scopes": ["repo:read"]})
    ask(400, "POST", tokens, by_password, json={"token_label": "x", "scopes": ["repo:none"]})
    ask(200, "GET", f"{tokens}?page=1&page_size=1", by_password)
    ask(200, "GET", one, by_password)
    ask(200, "PATCH", one, by_password, json={"is_active": False})
    ask(404, "GET", f"{tokens}/none", by_password)
    ask(204, "DELETE", f"{tokens}/{minted['uuid']}", by_password)
    ask(404, "DELETE", f"{tokens}/{minted['uuid']}", by_password)
    for method, path in (("GET", tokens), ("GET", one)):
        ask(403, method, path, by_token)
    repositories = f"/v2/namespaces/{scene['organization']}/repositories"
    ask(200, "GET", f"{repositories}?ordering=-pull_count&page_size=2", by_token)
    ask(200, "GET", "/v2/namespaces/nobody/repositories", by_token)
    ask(404, "GET", f"{repositories}?page=99", by_token)
    ask(200, "GET", f"{repositories}/api", by_token)
    ask(404, "GET", f"{repositories}/none", by_token)
    ask(200, "GET", f"{repositories}/api/tags", by_token)
    ask(200, "GET", f"{repositories}/api/tags/latest", by_token)
    ask(404, "GET", f"{repositories}/api/tags/none", by_token)
    found = [violation for entry in checked for violation in violations(api, entry)]
    assert not found, "\n".join(found)
    count("answers of Docker Hub validated beside them", len(checked))


def test_what_is_left_out_are_other_services(count):
    """This document lacks auth.docker.io and the registry; test_registry.py compares those with the real registry."""
    count("exchanges out of the document's reach (token service, registry)", len(recorded("HubAuth")) + len(recorded("Registry")))


# --- the validator can fail: planted deviations


def example(entries, method, path, status):
    return copy.deepcopy(next(
        entry for entry in entries if entry["method"] == method and entry["status"] == status and path in entry["uri"]
    ))


def change(entry, side, change):
    body = json.loads(entry[side]["body"])
    change(body)
    entry[side]["body"] = json.dumps(body)
    return entry


LIST = ("GET", "/v2/namespaces/acme/repositories?", 200)
LOGIN = ("POST", "/v2/auth/token", 200)
MINT = ("POST", "/v2/access-tokens", 201)
TOKENS = ("GET", "/v2/access-tokens?", 200)


@pytest.mark.parametrize(("which", "side", "deviation", "caught"), [
    (LIST, "response", lambda body: body.update(count="3"), "count"),
    (LIST, "response", lambda body: body["results"][0].update(is_private="no"), "is_private"),
    (LIST, "response", lambda body: body["results"][0].update(isPrivate=True), "isPrivate"),
    (LIST, "response", lambda body: body["results"][0].update(last_updated="yesterday"), "last_updated"),
    (LOGIN, "request", lambda body: body.update(secrets=body.pop("secret")), "secret"),
    (LOGIN, "response", lambda body: body.update(token=body.pop("access_token")), "token"),
    (MINT, "request", lambda body: body.pop("scopes"), "scopes"),
    (MINT, "request", lambda body: body.update(token_label="x" * 101), "token_label"),
    (MINT, "request", lambda body: body.update(expires_at="2027-01-01"), "expires_at"),
    (TOKENS, "response", lambda body: body["results"][0].update(scopes="repo:read"), "scopes"),
])
def test_a_body_that_deviates_is_caught(api, entries, which, side, deviation, caught):
    entry = example(entries, *which)
    assert not violations(api, entry)
    found = violations(api, change(entry, side, deviation))
    assert found and found[0].startswith(side) and caught in found[0], found


@pytest.mark.parametrize("status", [201, 202, 418])
def test_a_wrong_status_of_the_list_is_caught(api, entries, status):
    entry = example(entries, *LIST) | {"status": status}
    assert violations(api, entry)


def test_a_parameter_that_the_document_refuses_is_caught(api, entries):
    entry = example(entries, *LIST)
    assert "page_size=100" in entry["uri"]
    entry["uri"] = entry["uri"].replace("page_size=100", "page_size=101")
    assert violations(api, entry)


def test_a_request_without_its_bearer_is_caught(api, entries):
    entry = example(entries, *TOKENS)
    del entry["request"]["headers"]["authorization"]
    assert violations(api, entry)


def test_a_route_that_the_document_does_not_have_is_caught(api, entries):
    entry = example(entries, *LIST)
    entry["uri"] = entry["uri"].replace("/v2/namespaces/", "/v2/namespace/")
    assert violations(api, entry)
