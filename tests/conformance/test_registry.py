"""The registry: the proof works with Docker's own registry, and skopeo works with the sandbox's."""

import base64
import json
import urllib.error
import urllib.request

import pytest
from harness import Function, Registry, Sandbox, skopeo
from images import KINDS, layout

ACCEPT = ", ".join(media_type for *_, media_type in KINDS.values())


class Hub:
    """The example's organization, with its images in Docker's registry instead of the sandbox's."""

    def __init__(self, folder, stopping, **registry):
        self.folder, self.stopping = folder, stopping
        self.sandbox = stopping(Sandbox(folder))
        scene = self.sandbox.scene
        self.organization, self.user, self.private = scene["organization"], scene["user"], scene["private"]
        self.public = [name for name in scene["repositories"] if name not in self.private]
        self.sandbox("owner", organization=self.organization, user="pusher")
        self.pusher = f"pusher:{self.sandbox('token', user='pusher', scope='repo:write')['token']}"
        self.registry = stopping(Registry(self.sandbox, folder, **registry))

    def push(self, repository, kind):
        """Pushes the tag `latest`, as the owner does. skopeo gets its token from the sandbox."""
        format_, index, media_type = KINDS[kind]
        source = layout(self.folder / f"{repository}-{len(list(self.folder.iterdir()))}", f"{self.organization}/{repository}")
        pushed, said = skopeo(
            "copy", *(["--all"] if index else []), "--format", format_, "--dest-tls-verify=false", "--dest-creds", self.pusher,
            f"oci:{source}:{'index' if index else 'image'}", f"docker://{self.registry.address}/{self.organization}/{repository}:latest",
        )
        assert pushed, said
        status, found = self.head(repository, self.pusher)
        assert (status, found) == (200, media_type)

    def head(self, repository, login, accept=ACCEPT):
        """Sends a manifest's HEAD by hand. Returns the status, and the media type or the challenge."""
        url = f"{self.registry.url}/v2/{self.organization}/{repository}/manifests/latest"
        headers = {"Authorization": f"Bearer {self.token(repository, login)}", "Accept": accept}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD", headers=headers), timeout=10) as answer:
                return answer.status, answer.headers["content-type"]
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("www-authenticate")

    def token(self, repository, login):
        scope = f"repository:{self.organization}/{repository}:pull"
        url = f"{self.sandbox.environment['HUBKEEPER_HUB_AUTH_URL']}/token?service=registry.docker.io&scope={scope}"
        basic = base64.b64encode(login.encode()).decode()
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Basic {basic}"}), timeout=10) as answer:
            return json.loads(answer.read())["token"]

    def verify(self, name="hubkeeper/acme"):
        """Runs the package's proof with Docker's registry instead of the sandbox's. Returns its report, and the requests to the registry."""
        token = self.sandbox("token", user=self.user, scope="repo:read")["token"]
        arn = self.sandbox.secret(name, self.sandbox.document(token))
        function = self.stopping(Function(self.sandbox, self.folder, HUBKEEPER_REGISTRY_URL=self.registry.url))
        before = len(self.registry.requests())
        report = function({"action": "verify", "secretId": arn})
        return report, self.registry.requests()[before:]


@pytest.fixture
def hub(folder, stopping):
    return Hub(folder, stopping)


READ = []


@pytest.mark.parametrize("kind", KINDS)
def test_the_proof_reads_what_docker_s_registry_holds(hub, kind, count):
    """Private images of each kind, and the public one of this kind: the sample is five of six."""
    kinds = list(KINDS)
    for repository, each in zip(hub.private, kinds[kinds.index(kind):] + kinds):
        hub.push(repository, each)
    for repository in hub.public:
        hub.push(repository, kind)
    report, asked = hub.verify()
    assert (report["outcome"], report["verdict"]["result"]) == ("proven", "complete"), report
    # a HEAD does not count as a pull
    assert {method for method, *_ in asked} == {"HEAD"} and {status for *_, status in asked} == {200}, asked
    repositories = {path.split("/")[3] for _, path, _ in asked}
    assert len(asked) == 5 and set(hub.private) < repositories and repositories & set(hub.public), asked
    READ.extend(asked)
    count("images in Docker's registry read by the proof", len(READ))


def test_an_image_that_is_not_there_says_nothing_about_rights(hub):
    missing, *others = hub.private
    for repository in others + hub.public:
        hub.push(repository, "an OCI manifest")
    report, asked = hub.verify()
    assert (report["outcome"], report["verdict"]["result"], report["verdict"]["missing"]) == ("proven", "complete", []), report
    assert [path for _, path, status in asked if status == 404] == [f"/v2/{hub.organization}/{missing}/manifests/latest"]


def test_docker_s_registry_onboards(hub):
    """The whole sequence: the function writes the connector with a token that Docker's registry accepts."""
    for repository in hub.private + hub.public:
        hub.push(repository, "an OCI index")
    token = hub.sandbox("token", user=hub.user, scope="repo:read")["token"]
    arn = hub.sandbox.secret("hubkeeper/acme", hub.sandbox.document(token))
    function = hub.stopping(Function(hub.sandbox, hub.folder, HUBKEEPER_REGISTRY_URL=hub.registry.url))
    assert function({"action": "onboard", "secretId": arn})["outcome"] == "applied"
    connector, = hub.sandbox("connectors")["connectors"]
    assert connector["accepted"] and connector["readsEverything"] and not connector["canPush"], connector
    # the daily proof takes the tags from the registry: Docker's own ignores `n`
    before = len(hub.registry.requests())
    item, = function({"action": "reconcile", "secretIds": [arn]})["items"]
    assert (item["outcome"], item["verdict"]["result"]) == ("unchanged", "complete"), item
    asked = hub.registry.requests()[before:]
    assert {status for *_, status in asked} == {200}, asked
    lists = [path for method, path, _ in asked if method == "GET" and "/tags/list" in path]
    heads = [path for method, path, _ in asked if method == "HEAD" and path.endswith("/manifests/latest")]
    assert (len(lists), len(heads), len(asked)) == (5, 5, 10), asked


# --- Docker's registry can reject: planted deviations


@pytest.mark.parametrize(("what", "registry"), [
    ("a token for another audience", {"service": "another.registry"}),
    ("a token of another issuer", {"issuer": "another.issuer"}),
    ("a token of another key", {"certificate": "another"}),
])
def test_a_token_that_deviates_is_refused(folder, stopping, what, registry):
    if "certificate" in registry:
        registry = {"certificate": stopping(Sandbox(folder)).certificate}
    hub = Hub(folder, stopping, **registry)
    status, challenge = hub.head(hub.private[0], hub.pusher)
    assert status == 401 and 'error="invalid_token"' in challenge, (what, challenge)
    report, asked = hub.verify()
    # a registry that rejects the token itself says nothing about the repository
    assert report["errorType"] == "Retryable" and "invalid_token" in report["errorMessage"], (what, report)
    assert {status for *_, status in asked} == {401}, (what, asked)


def test_a_manifest_of_another_type_is_not_found(hub):
    """Why the proof names every type: Docker's registry, like the sandbox, returns 404 for an OCI manifest that `Accept` does not name."""
    repository = hub.private[0]
    hub.push(repository, "an OCI manifest")
    for accept, status in ((ACCEPT, 200), ("*/*", 404), ("application/vnd.docker.distribution.manifest.v2+json", 404)):
        assert hub.head(repository, hub.pusher, accept)[0] == status, accept


# --- skopeo and the sandbox's own registry


def scanner(scope, **more):
    return lambda sandbox: (sandbox.scene["user"], sandbox("token", user=sandbox.scene["user"], scope=scope, **more)["token"])


def outside_of_a_team(sandbox):
    sandbox("team", user=sandbox.scene["user"], team="payments", member=False)
    return scanner("repo:read")(sandbox)


def of_another_organization(sandbox):
    sandbox("organization", name="umbrella", user="umbrella-scanner")
    return "umbrella-scanner", sandbox("token", user="umbrella-scanner", scope="repo:read")["token"]


def revoked(sandbox):
    made = sandbox("token", user=sandbox.scene["user"], scope="repo:read")
    sandbox("revoke", user=sandbox.scene["user"], uuid=made["uuid"])
    return sandbox.scene["user"], made["token"]


def made_up(sandbox):
    return sandbox.scene["user"], "dckr_pat_made_up"


def of_the_organization(*repositories):
    def make(sandbox):
        organization = sandbox.scene["organization"]
        rights = {"repositories": list(repositories), "scopes": ["scope-image-pull", "scope-repository-list", "scope-tag-read"]}
        return organization, sandbox("organization_token", organization=organization, **rights)["token"]

    return make


EVERYTHING = {"web", "docs", "api", "worker", "billing", "ledger"}
PUBLIC = {"web", "docs"}
# the caller, and the repositories that it can read
TABLE = {
    "a read-only token": (scanner("repo:read"), EVERYTHING),
    "a token that writes": (scanner("repo:write"), EVERYTHING),
    "a token that administers": (scanner("repo:admin"), EVERYTHING),
    "a token for what is public": (scanner("repo:public_read"), PUBLIC),
    "a token of a user who left a team": (outside_of_a_team, EVERYTHING - {"billing", "ledger"}),
    "a token of another organization's user": (of_another_organization, PUBLIC),
    "a token that has ended": (scanner("repo:read", days=-1), set()),
    "a token that was revoked": (revoked, set()),
    "a token that was never made": (made_up, set()),
    "an organization's token for everything": (of_the_organization("*"), EVERYTHING),
    "an organization's token for two repositories": (of_the_organization("api", "ledger"), {"api", "ledger"} | PUBLIC),
}
CELLS = []


def readable_to_skopeo(sandbox, user, token):
    """The repositories whose manifest skopeo can read."""
    address = sandbox.environment["HUBKEEPER_REGISTRY_URL"].removeprefix("http://")
    found = set()
    for repository in sandbox.scene["repositories"]:
        image = f"docker://{address}/{sandbox.scene['organization']}/{repository}:latest"
        read, said = skopeo("inspect", "--raw", "--tls-verify=false", "--creds", f"{user}:{token}", image)
        # the last case: after too many failed logins the token service locks the user out
        assert read or any(no in said for no in ("unauthorized", "denied", "authentication required", "too many requests")), said
        CELLS.append(read)
        if read:
            found.add(repository)
    return found


def readable_to_the_proof(sandbox, function, user, token):
    """The repositories that the proof expects and finds."""
    arn = sandbox.secret("hubkeeper/acme", sandbox.document(token, user=user))
    report = function({"action": "verify", "secretId": arn})
    verdict = report["verdict"]
    assert verdict["result"] in ("complete", "partial", "rejected"), report
    return set() if verdict["result"] == "rejected" else set(sandbox.scene["repositories"]) - set(verdict.get("missing", []))


@pytest.mark.parametrize("who", TABLE)
def test_skopeo_and_the_proof_read_the_same(who, folder, stopping, count):
    sandbox = stopping(Sandbox(folder))
    # more rights than read are a different verdict
    function = stopping(Function(sandbox, folder, HUBKEEPER_OVER_PRIVILEGE="warn"))
    make, expected = TABLE[who]
    user, token = make(sandbox)
    proof = readable_to_the_proof(sandbox, function, user, token)
    assert (proof, readable_to_skopeo(sandbox, user, token)) == (expected, expected)
    count("images in the sandbox's registry that skopeo and the proof read", len(CELLS))
    count("images in the sandbox's registry that both read", sum(CELLS))


def test_the_comparison_with_skopeo_can_fail(sandbox, function):
    """The planted deviation: a right that changes between the two is detected."""
    user, token = scanner("repo:read")(sandbox)
    proof = readable_to_the_proof(sandbox, function, user, token)
    sandbox("team", user=user, team="payments", member=False)
    assert proof - readable_to_skopeo(sandbox, user, token) == {"billing", "ledger"}
