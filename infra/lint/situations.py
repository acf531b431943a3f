"""Checks the parameter files of infra/aws/situations and docs/deploying.md against the template. Runs in the environment of cfn-lint.

Usage: situations.py <template> <folder of the parameter files> <page> <permissions boundary>

CloudFormation evaluates patterns, limits and the section Rules before it creates anything; cfn-lint evaluates neither for a parameter
file. `refusals` does, with a small evaluator. It must accept each file, and refuse each set of `REFUSED`.
"""

import json
import re
import sys
from pathlib import Path

import cfnlint
from cfnlint.decode import cfn_yaml

TAGS = "tags.json"
PACKAGE_ADDRESS = 150
VPC = {"SubnetIds": "subnet-0a1b2c3d4e5f60718", "SecurityGroupIds": "sg-0a1b2c3d4e5f60718"}
# what is added to the file of one account, the partition, and a word of the refusal
REFUSED = [
    ({"AzureTenantId": None}, "aws", "AzureTenantId is required"),
    ({"AzureTenantID": "x"}, "aws", "AzureTenantID is no parameter"),
    ({"AzureAuth": "certificate"}, "aws", "AzureAuth is not one of"),
    ({"MemorySize": "64"}, "aws", "MemorySize is less than"),
    ({"TokenLifetimeDays": "3651"}, "aws", "TokenLifetimeDays is more than"),
    ({"TokenLifetimeDays": "many"}, "aws", "TokenLifetimeDays is not a number"),
    ({"KmsKeyArn": "alias/hubkeeper"}, "aws", "KmsKeyArn does not match"),
    ({"SubnetIds": VPC["SubnetIds"]}, "aws", "SubnetIds needs SecurityGroupIds"),
    ({"SecurityGroupIds": VPC["SecurityGroupIds"]}, "aws", "SecurityGroupIds needs SubnetIds"),
    (VPC | {"SubnetIds": "subnet-0a1b, subnet-0c1d"}, "aws", "SubnetIds does not match"),
    ({"PermissionsBoundaryArn": "arn:aws:iam::111122223333:role/boundary"}, "aws", "PermissionsBoundaryArn does not match"),
    ({"CodeSigningConfigArn": "csc-0a1b2c3d4e5f60718"}, "aws", "CodeSigningConfigArn does not match"),
    ({"RoleName": "x" * 65}, "aws", "RoleName does not match"),
    ({"RoleName": "security/hubkeeper"}, "aws", "RoleName does not match"),
    ({"AzureAuth": "client-secret"}, "aws", "needs AzureClientSecretArn"),
    ({"ManagedOrganization": "acme", "ManagedUsername": "acmescanner"}, "aws", "ManagedOrganization needs"),
    ({}, "aws-cn", "hubkeeper does not support aws-cn"),
]


def refusals(template, given, partition="aws"):
    """Yields why CloudFormation would refuse these parameters."""
    declared = template["Parameters"]
    yield from (f"{name} is no parameter" for name in given if name not in declared)
    values = {name: str(given.get(name, parameter.get("Default"))) for name, parameter in declared.items()}
    for name, parameter in declared.items():
        if name not in given and "Default" not in parameter:
            yield f"{name} is required"
            continue
        items = values[name].split(",") if parameter["Type"] == "CommaDelimitedList" else [values[name]]
        pattern = parameter.get("AllowedPattern")
        if pattern and not all(re.fullmatch(pattern, item) for item in items):
            yield f"{name} does not match {pattern}"
        if "AllowedValues" in parameter and values[name] not in map(str, parameter["AllowedValues"]):
            yield f"{name} is not one of {parameter['AllowedValues']}"
        if parameter["Type"] == "Number":
            if not re.fullmatch(r"-?\d+", values[name]):
                yield f"{name} is not a number"
                continue
            if int(values[name]) < parameter.get("MinValue", int(values[name])):
                yield f"{name} is less than {parameter['MinValue']}"
            if int(values[name]) > parameter.get("MaxValue", int(values[name])):
                yield f"{name} is more than {parameter['MaxValue']}"

    def evaluate(node):
        if not isinstance(node, dict):
            return node
        [(function, arguments)] = node.items()
        match function:
            case "Ref" if arguments == "AWS::Partition":
                return partition
            case "Ref":
                return values[arguments]
            case "Fn::Equals":
                return evaluate(arguments[0]) == evaluate(arguments[1])
            case "Fn::Not":
                return not evaluate(arguments[0])
            case "Fn::And":
                # AWS accepts two to ten conditions
                assert 2 <= len(arguments) <= 10, arguments
                return all([evaluate(argument) for argument in arguments])
        raise AssertionError(f"a rule has {function}, which this evaluator does not know")

    for rule in template["Rules"].values():
        if evaluate(rule.get("RuleCondition", True)):
            yield from (each["AssertDescription"] for each in rule["Assertions"] if not evaluate(each["Assert"]))


def parameters(file):
    """name -> value of a parameter file in the form of the AWS CLI"""
    return {entry["ParameterKey"]: entry["ParameterValue"] for entry in json.loads(file.read_text())}


def check_files(template, folder, _page, _boundary):
    for file in sorted(folder.glob("*.json")):
        if file.name == TAGS:
            if any(set(tag) != {"Key", "Value"} for tag in json.loads(file.read_text())):
                yield f"{file.name} is not a list of tags"
            continue
        given = parameters(file)
        partition = "aws-us-gov" if "arn:aws-us-gov:" in file.read_text() else "aws"
        yield from (f"{file.name}: {why}" for why in refusals(template, given, partition))
        for name, value in given.items():
            if template["Parameters"].get(name, {}).get("Default") == value:
                yield f"{file.name}: {name} is the default"


def check_refused(template, folder, _page, _boundary):
    plain = parameters(folder / "one-account.json")
    for added, partition, word in REFUSED:
        given = {name: value for name, value in (plain | added).items() if value is not None}
        found = list(refusals(template, given, partition))
        if not any(word in why for why in found):
            yield f"{added} in {partition} is not refused with `{word}`: {found}"


def check_page(_template, folder, page, _boundary):
    """The table names every file, and no other."""
    named = re.findall(r"^\| [^|]+ \| \[([\w-]+\.json)\]\(\.\./infra/aws/situations/\1\)", page, re.MULTILINE)
    files = sorted(file.name for file in folder.glob("*.json"))
    if sorted(named) != files:
        yield f"the page names {sorted(named)}, the files are {files}"


def schema(region, kind):
    """The schema of a resource type in a Region, as cfn-lint has it. `None` if the Region does not have the type."""
    data = Path(cfnlint.__file__).parent / "data" / "schemas"
    providers = json.loads((data / "providers" / f"{region}.json").read_text())
    name = providers.get(kind)
    return name and json.loads((data / "resources" / f"{name.removesuffix('.json')}.json").read_text())


def kinds(template):
    """The resource types of the stack. SAM makes two of the function."""
    found = {resource["Type"] for resource in template["Resources"].values()} - {"AWS::Serverless::Function"}
    return found | {"AWS::Lambda::Function", "AWS::Lambda::EventInvokeConfig"}


def check_tags(template, _folder, page, _boundary):
    """The page lists the resource types that do not get the stack's tags."""
    untagged = {kind for kind in kinds(template) if not schema("eu-west-1", kind)["tagging"].get("taggable")}
    section = page.split("\n## Tag everything\n")[1].split("\n## ")[0]
    listed = set(re.findall(r"`(AWS::[\w:]+)`", section))
    if listed != untagged or not untagged:
        yield f"without tags are {sorted(untagged)}, the page says {sorted(listed)}"


def check_gov(template, _folder, _page, _boundary):
    for region in ("us-gov-west-1", "us-gov-east-1"):
        yield from (f"{region} has no {kind}" for kind in sorted(kinds(template)) if schema(region, kind) is None)


def check_boundary(template, _folder, _page, boundary):
    """The boundary allows the actions of both roles, and no other."""
    granted = set()
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        for policy in resource["Properties"]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                statement = statement["Fn::If"][1] if "Fn::If" in statement else statement
                if statement["Effect"] == "Allow":
                    granted |= set([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    allowed = set()
    for statement in boundary["Statement"]:
        assert statement["Effect"] == "Allow" and statement["Resource"] == "*"
        allowed |= set([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    if allowed != granted or not granted:
        yield f"the permissions boundary and the roles differ in {sorted(allowed ^ granted)}"


def check_size(template, _folder, _page, _boundary):
    """CloudFormation accepts a template of 51,200 bytes in a request. As JSON, with the address of a package, this one must fit."""
    size = len(json.dumps(template, separators=(",", ":"), ensure_ascii=False).encode()) + PACKAGE_ADDRESS
    if size > 51_200:
        yield f"the template has {size:,} bytes as JSON: shorten its descriptions"


CHECKS = [check_files, check_refused, check_page, check_tags, check_gov, check_boundary, check_size]


if __name__ == "__main__":
    template_file, folder, page_file, boundary_file = (Path(name) for name in sys.argv[1:])
    known = cfn_yaml.load(str(template_file))
    texts = (known, folder, page_file.read_text(), json.loads(boundary_file.read_text()))
    problems = [problem for check in CHECKS for problem in check(*texts)]
    for problem in problems:
        print(f"situations: {problem}")
    if not problems:
        print(f"situations: {len(list(folder.glob('*.json'))) - 1} parameter files fit the template, {len(REFUSED)} sets are refused")
    sys.exit(bool(problems))
