"""From a release's folder alone, in an empty folder and without Rust: deployed, onboarded, rotated, updated, rolled back, removed."""

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from azure import AzureCli
from harness import ACCOUNT, MANAGER_PREFIX, PREFIX, REGION, Organization
from people import Administrator, Steps
from programs import KEEP

NAME = "journey"


def unpacked(release, folder):
    """A copy of a release, as a person downloads it, with its command line unpacked. Returns the folder, and the program."""
    shutil.copytree(release, folder)
    [archive] = folder.glob("hubkeeper-cli-*.tar.gz")
    subprocess.run(["tar", "-xzf", archive.name], cwd=folder, env=KEEP, check=True)
    [program] = folder.glob("hubkeeper-cli-*/hubkeeper")
    return folder, program


def later(release, folder, version="9.9.9"):
    """The release as if of a later version, with another package of the function."""
    folder.mkdir()
    [before] = {template.name.removeprefix("hubkeeper-").removesuffix(".template.json") for template in release.glob("*.template.json")}
    sums = []
    for file in sorted(release.iterdir()):
        if file.name == "SHA256SUMS":
            continue
        copy = folder / file.name.replace(before, version)
        if file.name.endswith(".template.json"):
            template = file.read_text()
            assert f"hubkeeper-function-{before}-" in template
            copy.write_text(template.replace(f"hubkeeper-function-{before}-", f"hubkeeper-function-{version}-"))
        else:
            shutil.copy(file, copy)
        if file.suffix == ".zip":
            with zipfile.ZipFile(copy, "a") as package:
                package.writestr("later", version)
        sums.append(f"{hashlib.sha256(copy.read_bytes()).hexdigest()}  {copy.name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


def sha(world):
    """What code the function runs."""
    return world.lambda_.get_function_configuration(FunctionName=world.function)["CodeSha256"]


def onboarded(world, me):
    """An organization, from `init` to its connector."""
    user = f"{NAME}-scanner"
    password = world.sandbox("organization", name=NAME, user=user)["password"]
    world.known.append(password)
    login = json.dumps({"username": user, "password": password, "usedBy": [f"{PREFIX}{NAME}"]})
    world.secretsmanager.create_secret(Name=f"{MANAGER_PREFIX}{NAME}", SecretString=login)
    connector = world.document(NAME, user)["connector"]
    made = me.hubkeeper(
        "init", NAME, "--username", user, "--manager", f"{MANAGER_PREFIX}{NAME}", "--subscription", connector["subscriptionId"],
        "--resource-group", connector["resourceGroup"], "--location", connector["location"], "--yes",
    )
    organization = Organization(NAME, user, made["secretId"])
    report = me.hubkeeper("onboard", organization.arn, "--yes")
    assert (report["outcome"], report["verdict"]["result"], report["connector"]["change"]) == ("applied", "complete", "created")
    assert world.carries(organization, world.labels(organization)["AWSCURRENT"])
    return organization


def rotated(world, me, organization):
    """A rotation that a person starts and follows."""
    world.secretsmanager.rotate_secret(
        SecretId=organization.arn, RotationLambdaARN=world.outputs["FunctionArn"], RotationRules={"AutomaticallyAfterDays": 30}, RotateImmediately=False
    )
    steps = Steps(world, organization)
    report = me.hubkeeper("rotate", organization.arn, "--yes")
    steps.join(60)
    assert steps.failure is None and report["outcome"] == "applied", (steps.failure, report)
    assert world.carries(organization, report["versionId"]) and world.labels(organization)["AWSCURRENT"] == report["versionId"]


def across(world, organization, change):
    """A rotation that one function begins and the other ends: `change` replaces the function after `setSecret`."""
    version = world.start_rotation(organization)
    for step in ("createSecret", "setSecret"):
        world.step(organization, version, step).ok()
    report = change()
    assert world.carries(organization, version)
    for step in ("testSecret", "finishSecret"):
        world.step(organization, version, step).ok()
    assert world.carries(organization, version) and world.labels(organization)["AWSCURRENT"] == version
    world.clean_up(organization)
    return report


@pytest.fixture
def azure(empty_world):
    cli = AzureCli(empty_world.sandbox)
    yield cli
    cli.stop()


def test_a_release_alone_leads_from_nothing_to_a_rotation_an_update_its_rollback_and_back(empty_world, azure, tmp_path):
    world = empty_world
    release = Path(os.environ["HUBKEEPER_RELEASE"])
    folder, program = unpacked(release, tmp_path / "release")
    update = str(later(release, tmp_path / "later"))
    # nothing but the command line and az: no Rust, no other tool of AWS, not even a shell
    me = Administrator(world, folder, program, path=str(azure.bin))

    # both clouds, in one go. The parameters are those of the emulator and the sandbox; ids of the identity come from Azure
    parameters = {name: value for name, value in world.parameters().items() if name not in ("AzureTenantId", "AzureClientId")}
    settings = [option for name, value in parameters.items() for option in ("--set", f"{name}={value}")]
    report = me.hubkeeper("deploy", "--resource-group", world.sandbox.scene["group"], *settings, "--yes")
    assert (report["outcome"], report["status"], report["azure"]["outcome"]) == ("applied", "CREATE_COMPLETE", "applied"), report
    assert azure.trusted["awsRoleArn"] == report["outputs"]["RoleArn"]
    world.knows("hubkeeper", report["outputs"])
    checks = {check["check"]: check["state"] for check in report["doctor"]["checks"]}
    assert checks["exchange"] == checks["version"] == "ok", checks
    organization = onboarded(world, me)
    rotated(world, me, organization)
    first = sha(world)

    # the same again changes nothing
    assert me.hubkeeper("deploy", "--yes")["outcome"] == "unchanged"
    # a plan changes nothing
    report = me.hubkeeper("deploy", "--release", update, "--plan")
    assert report["outcome"] == "planned" and "HubkeeperFunction" in [change["resource"] for change in report["changes"]], report
    assert sha(world) == first

    report = across(world, organization, lambda: me.hubkeeper("deploy", "--release", update, "--yes"))
    assert (report["outcome"], report["version"], report["outputs"]) == ("applied", "9.9.9", world.outputs), report
    assert sha(world) != first
    report = across(world, organization, lambda: me.hubkeeper("deploy", "--rollback", "--yes"))
    assert (report["outcome"], report["outputs"]) == ("applied", world.outputs), report
    assert sha(world) == first
    rotated(world, me, organization)

    assert me.hubkeeper("offboard", organization.arn, "--yes")["connector"]["change"] == "deleted"
    ended = me.run("destroy", program=program, path=me.path)
    assert ended.code == 2 and world.stack in ended.err, ended
    log, lines = world.outputs["LogGroupName"], world.log_lines()
    me.hubkeeper("destroy", "--confirm", world.stack)
    left = world.cloudformation.describe_stacks()["Stacks"]
    assert world.stack not in [stack["StackName"] for stack in left if stack["StackStatus"] != "DELETE_COMPLETE"], left
    assert not world.logs.describe_log_groups(logGroupNamePrefix=log)["logGroups"]
    bucket = f"hubkeeper-{ACCOUNT}-{REGION}"
    assert not world.s3.list_objects_v2(Bucket=bucket).get("Contents"), "packages are left"
    # what a person has to remove is still there
    assert world.labels(organization)["AWSCURRENT"]
    world.no_secret_in(json.dumps(lines), *(path.read_text() for path in folder.glob("*.toml")))
