"""Checks that the packaged template of a release means the same as infra/aws/template.yaml.

Usage: packaged.py <template.yaml> <packaged template>

The loader of the AWS SAM CLI reads both, independently of the program that converts one into the other. They may differ in what a
release changes, and in nothing else. AWS's translator of serverless templates must take the package from the bucket. The check also
plants differences, and must find each.
"""

import copy
import json
import re
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

NOT_DEPLOYED = {"BuildMethod", "BuildProperties", "checkov"}
KEY = re.compile(r"\$\{CodePrefix\}hubkeeper-function-\d+\.\d+\.\d+[0-9A-Za-z.-]*?-\$\{Architecture\}\.zip")


def plain(value):
    """Dictionaries, lists and scalars, with each attribute as a list."""
    if isinstance(value, dict):
        items = {str(name): plain(item) for name, item in value.items()}
        if isinstance(items.get("Fn::GetAtt"), str):
            items["Fn::GetAtt"] = items["Fn::GetAtt"].split(".", 1)
        return items
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def without_metadata(part):
    kept = {name: value for name, value in part.pop("Metadata", {}).items() if name not in NOT_DEPLOYED}
    if kept:
        part["Metadata"] = kept


def expected(source):
    """What the source means, without what only its build and the policy check read."""
    template = plain(source)
    for resource in template["Resources"].values():
        without_metadata(resource)
    return template


def problems(source, packaged):
    """Takes back what a release changes, checks it, and compares the rest."""
    wanted, found = expected(source), plain(packaged)
    try:
        groups = found["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        if groups.pop(0)["Parameters"] != ["CodeBucket", "CodePrefix"]:
            yield "the first group of parameters is not that of the package"
        bucket, prefix = found["Parameters"].pop("CodeBucket"), found["Parameters"].pop("CodePrefix")
        function = found["Resources"]["HubkeeperFunction"]["Properties"]
        code, function["CodeUri"] = function["CodeUri"], wanted["Resources"]["HubkeeperFunction"]["Properties"]["CodeUri"]
    except (KeyError, IndexError) as missing:
        yield f"the packaged template lacks {missing}"
        return
    if "Default" in bucket or prefix["Default"] != "":
        yield "CodeBucket must have no default, and CodePrefix an empty one"
    if code["Bucket"] != {"Ref": "CodeBucket"} or not KEY.fullmatch(code["Key"].get("Fn::Sub", "")):
        yield f"the code is {code}"
    yield from difference(wanted, found, "")


def deployed_code(packaged):
    """What CloudFormation makes of CodeUri."""
    translated = Translator({}, Parser()).translate(copy.deepcopy(packaged), parameter_values={})
    return translated["Resources"]["HubkeeperFunction"]["Properties"]["Code"]


def difference(wanted, found, path):
    if type(wanted) is not type(found):
        yield f"{path} is {found!r}, in the source {wanted!r}"
    elif isinstance(wanted, dict):
        for name in sorted(wanted.keys() | found.keys()):
            if name not in found or name not in wanted:
                yield f"{path}/{name} is {'missing' if name not in found else 'not in the source'}"
            else:
                yield from difference(wanted[name], found[name], f"{path}/{name}")
    elif isinstance(wanted, list):
        if len(wanted) != len(found):
            yield f"{path} has {len(found)} items, in the source {len(wanted)}"
        for at, (one, other) in enumerate(zip(wanted, found)):
            yield from difference(one, other, f"{path}/{at}")
    elif wanted != found:
        yield f"{path} is {found!r}, in the source {wanted!r}"


def plants(packaged):
    """Packaged templates that mean something else, each with the words that a problem must contain."""

    def planted(change):
        template = copy.deepcopy(packaged)
        change(template["Resources"], template)
        return template

    def drop_condition(resources, _):
        del resources["ManagedSecret"]["Condition"]

    def change_attribute(resources, _):
        resources["HubkeeperFunction"]["Properties"]["Role"]["Fn::GetAtt"][1] = "RoleId"

    def number_as_text(_, template):
        template["Parameters"]["MemorySize"]["Default"] = "256"

    def widen(resources, _):
        statements = resources["FunctionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        statements[0]["Resource"] = "*"

    def drop_output(_, template):
        del template["Outputs"]["RoleArn"]

    def another_package(resources, _):
        resources["HubkeeperFunction"]["Properties"]["CodeUri"]["Key"]["Fn::Sub"] = "hubkeeper.zip"

    def with_default(_, template):
        template["Parameters"]["CodeBucket"]["Default"] = "somebody-elses"

    yield planted(drop_condition), "/Resources/ManagedSecret/Condition is missing"
    yield planted(change_attribute), "Role/Fn::GetAtt/1 is 'RoleId'"
    yield planted(number_as_text), "MemorySize/Default is '256'"
    yield planted(widen), "Statement/0/Resource is '*'"
    yield planted(drop_output), "/Outputs/RoleArn is missing"
    yield planted(another_package), "hubkeeper.zip"
    yield planted(with_default), "CodeBucket must have no default"


if __name__ == "__main__":
    source = yaml_parse(Path(sys.argv[1]).read_text())
    packaged = json.loads(Path(sys.argv[2]).read_text())
    found = list(problems(source, packaged))
    code = packaged["Resources"]["HubkeeperFunction"]["Properties"]["CodeUri"]
    if deployed_code(packaged) != {"S3Bucket": code["Bucket"], "S3Key": code["Key"]}:
        found.append(f"the function's code is {deployed_code(packaged)}")
    count = 0
    for template, words in plants(packaged):
        count += 1
        if not any(words in problem for problem in problems(source, template)):
            found.append(f"a planted difference is not found: {words}")
    for problem in found:
        print(f"packaged template: {problem}")
    if not found:
        print(f"packaged template: means the same as {sys.argv[1]}; {count} planted differences are found")
    sys.exit(bool(found))
