"""Checks that an update from an earlier template removes and replaces no resource: people, Entra and Secrets Manager know some by name.

Usage: replaced.py <earlier template> <template>. CloudFormation replaces a resource if a create-only property changes, which AWS's
schemas name. A property counts as changed if its text differs: parameters keep their values in an update. A parameter that the
earlier template lacks has its default, and decides which branch of a condition counts.
"""

import json
import sys
from pathlib import Path

import cfnlint
from cfnlint.decode import decode

# what SAM turns the type into
BECOMES = {"AWS::Serverless::Function": "AWS::Lambda::Function"}
SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas"


def create_only(kind):
    """The create-only properties of a resource type, at the first level."""
    reference = json.loads((SCHEMAS / "providers" / "eu-west-1.json").read_text())[BECOMES.get(kind, kind)]
    schema = json.loads((SCHEMAS / "resources" / f"{reference}.json").read_text())
    return {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}


class Unknown(Exception):
    """The value depends on a parameter whose value the update keeps."""


class Updated:
    """Today's template, deployed over the earlier one."""

    def __init__(self, earlier, today):
        self.conditions, self.resources = today.get("Conditions", {}), today["Resources"]
        self.values = {name: parameter.get("Default") for name, parameter in today["Parameters"].items() if name not in earlier["Parameters"]}

    def holds(self, node):
        """Whether a condition holds."""
        if isinstance(node, str):
            return self.holds(self.conditions[node])
        [(function, arguments)] = node.items()
        match function:
            case "Condition":
                return self.holds(arguments)
            case "Fn::Equals":
                return self.value(arguments[0]) == self.value(arguments[1])
            case "Fn::Not":
                return not self.holds(arguments[0])
            case "Fn::And":
                return all([self.holds(argument) for argument in arguments])
            case "Fn::Or":
                return any([self.holds(argument) for argument in arguments])
        raise Unknown

    def value(self, node):
        """A value that a condition compares."""
        if isinstance(node, dict):
            if node.get("Ref") in self.values:
                return self.values[node["Ref"]]
            raise Unknown
        return node

    def chosen(self, node):
        """The branch that counts, if new parameters alone decide it."""
        if isinstance(node, dict) and "Fn::If" in node:
            condition, yes, no = node["Fn::If"]
            try:
                return self.chosen(yes if self.holds(condition) else no)
            except Unknown:
                return node
        return node


def problems(earlier, today):
    """What an update would remove or replace, and how many properties were compared."""
    updated = Updated(earlier, today)
    found, compared = [], 0
    for name, before in earlier["Resources"].items():
        after = updated.resources.get(name)
        if after is None or after["Type"] != before["Type"]:
            found.append(f"{name}: the update removes it")
            continue
        for key in sorted(create_only(before["Type"])):
            old, new = before.get("Properties", {}).get(key), updated.chosen(after.get("Properties", {}).get(key))
            compared += old is not None
            if old != new:
                found.append(f"{name}: the update replaces it, since {key} changes from {old} to {new}")
    return found, compared


def read(path):
    template, errors = decode(path)
    assert not errors, errors
    # without the positions that the parser adds
    return json.loads(json.dumps(template))


if __name__ == "__main__":
    before, after = (read(path) for path in sys.argv[1:])
    found, compared = problems(before, after)
    for problem in found:
        print(f"update from {Path(sys.argv[1]).name}: {problem}")
    count = len(before["Resources"])
    if compared < count / 2:
        sys.exit(f"only {compared} create-only properties were compared: are AWS's schemas in another place?")
    if not found:
        print(f"update from {Path(sys.argv[1]).name}: all {count} resources stay, {compared} create-only properties are the same")
    sys.exit(bool(found))
