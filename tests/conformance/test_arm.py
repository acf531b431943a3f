"""Azure Resource Manager: the recorded exchanges are valid under Microsoft's swagger, and Microsoft's client works."""

import copy
import json
import subprocess
import time
from urllib.parse import urlsplit

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.security import SecurityManagementClient, models
from harness import Function, Sandbox, msal_application, need, recorded, recorded_in, spec
from programs import KEEP

VERSIONS = ["2024-08-01-preview", "2026-08-01-preview"]
DEFAULT = VERSIONS[0]


def is_connector(entry):
    """The documents describe connectors alone: neither health reports nor what doctor reads of a subscription."""
    path = urlsplit(entry["uri"]).path.lower()
    return "/providers/microsoft.security/securityconnectors" in path and "/healthreports" not in path


def pair(entry, version=None):
    """An exchange as the validator reads it, with another api-version if one is given."""
    url = entry["uri"]
    if version:
        assert f"api-version={DEFAULT}" in url, url
        url = url.replace(DEFAULT, version)
    asked, answered = entry["request"], entry["response"]
    return {
        "liveRequest": {"method": entry["method"], "url": url, "headers": asked["headers"], "body": asked["body"]},
        "liveResponse": {"statusCode": entry["status"], "headers": answered["headers"], "body": answered["body"]},
    }


def is_provider_error(pair):
    """The provider's own form of an error, which it uses although the swagger has another (recorded traffic shows it)."""
    body = pair["liveResponse"]["body"]
    return pair["liveResponse"]["statusCode"] >= 400 and '"errorMessage"' in body and '"statusCode"' in body


def violations(pairs, *flags):
    """The validator's messages. Empty if every pair is valid."""
    modules = need("HUBKEEPER_OAV", "oav")
    command = ["node", str(spec("azure/live-validate.cjs")), *flags]
    done = subprocess.run(
        command, input=json.dumps(pairs), env=KEEP | {"NODE_PATH": modules}, capture_output=True, text=True, timeout=300, check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    assert last == f"{len(pairs)} pair(s), {len(lines)} violation(s)", last
    return lines


def validated(pairs):
    """Validates all pairs, except the provider's own form of errors."""
    own = [pair for pair in pairs if is_provider_error(pair)]
    others = [pair for pair in pairs if not is_provider_error(pair)]
    assert others, "nothing was recorded"
    found = violations(others) + (violations(own, "--allow-rp-errors") if own else [])
    assert not found, "\n".join(found)
    return len(pairs)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_suite_holds_against_the_swagger(version, count):
    entries = [entry for entry in recorded("Arm") if is_connector(entry)]
    methods = {(entry["method"], entry["status"]) for entry in entries}
    wanted = {("GET", 200), ("GET", 404), ("PUT", 200), ("PUT", 201), ("DELETE", 200), ("DELETE", 204), ("DELETE", 403)}
    assert wanted <= methods, f"the record is not the suite's: {sorted(methods)}"
    pairs = [pair(entry, version if version != DEFAULT else None) for entry in entries]
    count(f"ARM pairs of the suite validated, api-version {version}", validated(pairs))


def test_what_is_left_out_are_reads_of_other_apis(count):
    left = [entry for entry in recorded("Arm") if not is_connector(entry)]
    # the last one is a POST that only reads
    ends = ("/healthreports", "/subscriptions", "/permissions", "/pricings", "/checkpolicyrestrictions")
    for entry in left:
        path = urlsplit(entry["uri"]).path.lower().rstrip("/")
        assert path.endswith(ends), entry["uri"]
        assert entry["method"] == "GET" or path.endswith(ends[-1]), entry["uri"]
    count("ARM pairs out of the documents' reach (health reports, and what doctor reads)", len(left))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_function_itself_under_this_api_version(version, folder, stopping, count):
    """The package onboards, changes and deletes a connector under the version in its environment."""
    record = folder / version
    sandbox = stopping(Sandbox(folder, {"HUBKEEPER_RECORD": str(record)}))
    function = stopping(Function(sandbox, folder, HUBKEEPER_ARM_API_VERSION=version))
    token = sandbox("token", user=sandbox.scene["user"], scope="repo:read")["token"]
    arn = sandbox.secret("hubkeeper/acme", sandbox.document(token))
    assert function({"action": "onboard", "secretId": arn})["outcome"] == "applied"
    sandbox("drift", connector=sandbox.scene["connector"])
    assert function({"action": "reconcile", "secretIds": [arn]})["outcome"] == "applied"
    assert function({"action": "offboard", "secretId": arn})["outcome"] == "applied"
    entries = [entry for entry in recorded_in(record, "Arm") if is_connector(entry)]
    assert all(f"api-version={version}" in entry["uri"] for entry in entries)
    count(f"ARM pairs of the package validated, api-version {version}", validated([pair(entry) for entry in entries]))


class Bearer:
    """A credential of azure-core: Entra's token for the application's secret, obtained through MSAL."""

    def __init__(self, sandbox):
        application = msal_application(sandbox, sandbox("client_secret")["secret"])
        answer = application.acquire_token_for_client(["https://management.azure.com/.default"])
        self.token = AccessToken(answer["access_token"], int(time.time()) + answer["expires_in"])

    def get_token(self, *_scopes, **_options):
        return self.token


class Client:
    """Microsoft's client for Python. The sandbox's ARM is plain http on the loopback interface."""

    def __init__(self, sandbox):
        self.group, subscription = sandbox.scene["group"], sandbox.scene["subscription"]
        self.connectors = SecurityManagementClient(
            Bearer(sandbox), subscription, base_url=sandbox.environment["HUBKEEPER_ARM_URL"], retry_total=0,
        ).security_connectors

    def __getattr__(self, name):
        call = getattr(self.connectors, name)
        group = () if name == "list" else (self.group,)
        return lambda *arguments: call(*group, *arguments, enforce_https=False)


def docker_hub(organization, offerings=None, environment=None):
    return models.SecurityConnector(
        location="westeurope",
        tags={"made-by": "Microsoft's client"},
        properties=models.SecurityConnectorProperties(
            hierarchy_identifier=organization,
            environment_name="DockerHub",
            offerings=offerings or [
                models.CspmMonitorDockerHubOffering(),
                models.DefenderForContainersDockerHubOffering(),
                models.DefenderCspmDockerHubOffering(),
            ],
            environment_data=environment or models.DockerHubEnvironmentData(
                authentication=models.AccessTokenAuthentication(username="somebody", access_token="dckr_pat_made_up"),
                scan_interval=12,
            ),
        ),
    )


def test_microsofts_client_creates_reads_lists_and_deletes(folder, stopping, count):
    record = folder / "client"
    sandbox = stopping(Sandbox(folder, {"HUBKEEPER_RECORD": str(record)}))
    client = Client(sandbox)
    with pytest.raises(ResourceNotFoundError):
        client.get("dockerhub-one")
    for name in ("one", "two"):
        made = client.create_or_update(f"dockerhub-{name}", docker_hub(name))
        assert made.properties.hierarchy_identifier == name
    read = client.get("dockerhub-one")
    data = read.properties.environment_data
    assert isinstance(data, models.DockerHubEnvironmentData) and data.scan_interval == 12
    assert isinstance(data.authentication, models.AccessTokenAuthentication)
    assert data.authentication.username == "somebody"
    assert [type(offering) for offering in read.properties.offerings] == [
        models.CspmMonitorDockerHubOffering, models.DefenderForContainersDockerHubOffering, models.DefenderCspmDockerHubOffering,
    ]
    assert (read.type.lower(), read.location) == ("microsoft.security/securityconnectors", "westeurope")
    assert read.system_data.created_by and read.system_data.last_modified_at
    assert sorted(found.name for found in client.list_by_resource_group()) == ["dockerhub-one", "dockerhub-two"]
    # the role assignment covers the resource group only
    with pytest.raises(HttpResponseError, match="AuthorizationFailed") as refused:
        list(client.list())
    assert refused.value.status_code == 403
    again = client.create_or_update("dockerhub-one", docker_hub("one", [models.CspmMonitorDockerHubOffering()]))
    assert len(again.properties.offerings) == 1
    patched = client.update("dockerhub-one", models.SecurityConnector(tags={"only": "this"}))
    assert patched.tags == {"only": "this"} and len(patched.properties.offerings) == 1
    client.delete("dockerhub-one")
    # deleting a missing connector is not an error
    client.delete("dockerhub-one")
    assert [connector.name for connector in client.list_by_resource_group()] == ["dockerhub-two"]
    entries = [entry for entry in recorded_in(record, "Arm")]
    count("ARM pairs of Microsoft's client validated", validated([pair(entry) for entry in entries]))


def test_microsofts_client_reads_the_connector_that_hubkeeper_wrote(sandbox, function):
    token = sandbox("token", user=sandbox.scene["user"], scope="repo:read")["token"]
    document = sandbox.document(token)
    document["connector"] |= {"scanIntervalHours": 6, "plans": ["foundationalCspm", "containers"]}
    arn = sandbox.secret("hubkeeper/read", document)
    report = function({"action": "onboard", "secretId": arn})
    assert report["outcome"] == "applied", report
    read = Client(sandbox).get(sandbox.scene["connector"])
    data = read.properties.environment_data
    assert isinstance(data, models.DockerHubEnvironmentData)
    assert (data.environment_type, data.scan_interval) == ("DockerHubOrganization", 6)
    assert isinstance(data.authentication, models.AccessTokenAuthentication)
    assert data.authentication.username == sandbox.scene["user"]
    offerings = {type(offering) for offering in read.properties.offerings}
    assert offerings == {models.CspmMonitorDockerHubOffering, models.DefenderForContainersDockerHubOffering}
    assert (read.properties.environment_name, read.properties.hierarchy_identifier) == ("DockerHub", sandbox.scene["organization"])
    assert read.tags["hubkeeper-version"] == report["versionId"]


def test_microsofts_client_is_told_what_is_wrong(sandbox):
    """The sandbox rejects what Microsoft's service rejects, in a form that the client understands."""
    wrong = docker_hub("wrong", environment=models.AwsEnvironmentData())
    with pytest.raises(HttpResponseError) as refused:
        Client(sandbox).create_or_update("dockerhub-wrong", wrong)
    assert refused.value.status_code == 400
    with pytest.raises(ResourceNotFoundError):
        Client(sandbox).get("dockerhub-wrong")


# --- each validator can fail: planted deviations


def recorded_put():
    """A valid pair, to plant deviations in."""
    pairs = [pair(entry) for entry in recorded("Arm") if (entry["method"], entry["status"]) == ("PUT", 201)]
    assert pairs
    return copy.deepcopy(pairs[0])


def changed(part, old, new):
    """The recorded PUT with a text replaced in one of its bodies."""
    good = recorded_put()
    assert not violations([good])
    body = good[part]["body"]
    assert old in body
    good[part]["body"] = body.replace(old, new)
    return violations([good])


@pytest.mark.parametrize(("part", "old", "new", "caught"), [
    ("liveRequest", '"accessToken":', '"accesToken":', "accesToken"),
    ("liveRequest", '"offeringType":"CspmMonitorDockerHub"', '"offeringType":"CspmMonitorDockerhub"', "offering"),
    ("liveResponse", '"DockerHubOrganization"', '"DockerHub"', "environment"),
    ("liveResponse", '"hierarchyIdentifier":', '"hierarchyIdentifer":', "hierarchyIdentifer"),
])
def test_a_member_that_is_misspelt_is_caught(part, old, new, caught):
    found = changed(part, old, new)
    assert found and any(caught.lower() in line.lower() for line in found), found


def test_a_status_that_is_not_declared_is_caught():
    wrong = recorded_put()
    wrong["liveResponse"]["statusCode"] = 202
    assert violations([wrong])


def test_an_api_version_that_is_unknown_is_caught():
    wrong = recorded_put()
    wrong["liveRequest"]["url"] = wrong["liveRequest"]["url"].replace(DEFAULT, "2025-01-01-preview")
    assert violations([wrong])


def test_the_providers_own_errors_pass_by_the_exception_alone():
    own = recorded_put()
    body = {"statusCode": 400, "errorMessage": "error occured for security connector", "errorCorrelation": "guid"}
    own["liveResponse"] |= {"statusCode": 400, "body": json.dumps(body)}
    assert violations([own]) and not violations([own], "--allow-rp-errors")
    assert is_provider_error(own)
