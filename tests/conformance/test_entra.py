"""Microsoft's own library (MSAL for Python) gets tokens from the sandbox's Entra, and the documented errors."""

import base64
import json

import pytest
from harness import Sandbox, msal_application

AUDIENCE = "api://AzureADTokenExchange"
SCOPE = "https://management.azure.com/.default"
ROLE = "arn:aws:iam::111122223333:role/{}"


@pytest.fixture
def sandbox(folder, stopping):
    return stopping(Sandbox(folder))


def assertion(sandbox, audience=AUDIENCE, algorithm="RS256"):
    """An assertion from STS, obtained as the function does, by AWS's own client."""
    answer = sandbox.client("sts").get_web_identity_token(Audience=[audience], SigningAlgorithm=algorithm, DurationSeconds=300)
    return answer["WebIdentityToken"]


def asserting(assertion):
    """The credential of MSAL that presents this assertion."""
    return {"client_assertion": lambda: assertion}


def token(sandbox, credential, tenant=None, client=None, scope=SCOPE):
    """MSAL's result for Entra's response."""
    return msal_application(sandbox, credential, tenant, client).acquire_token_for_client([scope])


def refused(answer, code, error):
    assert "access_token" not in answer, "a token was given"
    assert (answer["error_codes"], answer["error"]) == ([code], error), answer
    assert answer["error_description"].startswith(f"AADSTS{code}: ")
    assert {"timestamp", "trace_id", "correlation_id"} <= answer.keys()


def test_a_token_for_an_assertion(sandbox, count):
    answer = token(sandbox, asserting(assertion(sandbox)))
    assert answer["token_type"] == "Bearer" and answer["token_source"] == "identity_provider", answer.keys()
    assert answer["expires_in"] > 3000
    claims = json.loads(base64.urlsafe_b64decode(answer["access_token"].split(".")[1] + "=="))
    assert claims["aud"].rstrip("/") == SCOPE.removesuffix("/.default")
    count("answers of Entra read by MSAL (2 tokens, 9 refusals)", 11)


def test_a_token_for_a_client_secret(sandbox):
    assert "access_token" in token(sandbox, sandbox("client_secret")["secret"])


def test_a_wrong_secret(sandbox):
    refused(token(sandbox, sandbox("client_secret")["secret"] + "x"), 7000215, "invalid_client")


def test_a_secret_that_has_ended(sandbox):
    refused(token(sandbox, sandbox("client_secret", days=-1)["secret"]), 7000222, "invalid_client")


def test_an_unknown_application(sandbox):
    unknown = "c11e0000-0000-4000-a000-00000000ffff"
    refused(token(sandbox, "secret", client=unknown), 700016, "unauthorized_client")


def test_an_unknown_tenant(sandbox):
    # MSAL reads the tenant's discovery document first and reports the error itself
    with pytest.raises(ValueError, match="(?i)tenant|authority|discovery"):
        token(sandbox, "secret", tenant="7e4a0000-0000-4000-a000-00000000ffff")


def test_a_resource_that_is_none(sandbox):
    answer = token(sandbox, sandbox("client_secret")["secret"], scope="https://example.com/.default")
    refused(answer, 500011, "invalid_resource")


def test_an_assertion_that_was_changed(sandbox):
    """The planted deviation: an unsigned assertion is rejected."""
    head, claims, signature = assertion(sandbox).split(".")
    opened = json.loads(base64.urlsafe_b64decode(claims + "=="))
    opened["sub"] = ROLE.format("somebody")
    changed = base64.urlsafe_b64encode(json.dumps(opened).encode()).decode().rstrip("=")
    refused(token(sandbox, asserting(f"{head}.{changed}.{signature}")), 700027, "invalid_client")


def test_an_assertion_for_another_audience(sandbox):
    answer = token(sandbox, asserting(assertion(sandbox, "api://AzureADTokenExchangeUSGov")))
    refused(answer, 700212, "invalid_client")


def test_an_assertion_of_another_role(sandbox):
    stale = assertion(sandbox)
    sandbox("role", roleArn=ROLE.format("another"))
    refused(token(sandbox, asserting(stale)), 700213, "invalid_client")


def test_an_assertion_of_another_issuer(sandbox):
    stale = assertion(sandbox)
    sandbox("role", issuer="https://another.example", roleArn=ROLE.format("another"))
    refused(token(sandbox, asserting(stale)), 700211, "invalid_client")
