"""Checks that an update from an earlier template removes and replaces no resource: people, Entra and Secrets Manager know some by name.

Usage: replaced.py <earlier template> <template>. CloudFormation replaces a resource if a create-only property changes, which AWS's
schemas name. A property counts as changed if its text differs: parameters keep their values in an update.
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


def problems(earlier, today):
    """What an update would remove or replace, and how many properties were compared."""
    found, compared = [], 0
    for name, before in earlier.items():
        after = today.get(name)
        if after is None or after["Type"] != before["Type"]:
            found.append(f"{name}: the update removes it")
            continue
        for key in sorted(create_only(before["Type"])):
            old, new = (resource.get("Properties", {}).get(key) for resource in (before, after))
            compared += old is not None
            if old != new:
                found.append(f"{name}: the update replaces it, since {key} changes from {old} to {new}")
    return found, compared


def resources(path):
    template, errors = decode(path)
    assert not errors, errors
    # without the positions that the parser adds
    return json.loads(json.dumps(template["Resources"]))


if __name__ == "__main__":
    before, after = (resources(path) for path in sys.argv[1:])
    found, compared = problems(before, after)
    for problem in found:
        print(f"update from {Path(sys.argv[1]).name}: {problem}")
    if compared < len(before) / 2:
        sys.exit(f"only {compared} create-only properties were compared: are AWS's schemas in another place?")
    if not found:
        print(f"update from {Path(sys.argv[1]).name}: all {len(before)} resources stay, {compared} create-only properties are the same")
    sys.exit(bool(found))
