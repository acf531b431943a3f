"""Compares the resources of an ARM template with Microsoft's models of their types, in exactly the template's api-version: names and types of
fields, required and read-only ones, and values of enumerations.

Usage: arm.py <ARM template>
"""

import copy
import enum
import importlib
import json
import sys
from pathlib import Path

# the package and the model of what a PUT sends
MODELS = {
    "Microsoft.ManagedIdentity/userAssignedIdentities": ("msi", "Identity"),
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials": ("msi", "FederatedIdentityCredential"),
    "Microsoft.Authorization/roleDefinitions": ("authorization", "RoleDefinition"),
    "Microsoft.Authorization/roleAssignments": ("authorization", "RoleAssignmentCreateParameters"),
}
# fields of every resource in a template, which are not part of the body
OF_TEMPLATES = {"apiVersion", "condition", "dependsOn", "name", "type"}
ENUMERATIONS = {"principalType": "PrincipalType"}


def is_expression(value):
    return isinstance(value, str) and value.startswith("[") and value.endswith("]") and not value.startswith("[[")


def problems_of(models, model, body, where):
    """Yields the differences between a body and a model."""
    fields = {entry["key"]: (name, entry["type"]) for name, entry in model._attribute_map.items()}
    rules = model._validation
    flat = {name: value for name, value in body.items() if name != "properties"}
    flat |= {f"properties.{name}": value for name, value in body.get("properties", {}).items()}
    for key, value in flat.items():
        if key not in fields:
            yield f"{where}: the model has no {key}"
            continue
        name, kind = fields[key]
        if rules.get(name, {}).get("readonly"):
            yield f"{where}: {key} is read-only"
        if is_expression(value):
            continue
        if kind == "str":
            if not isinstance(value, str):
                yield f"{where}: {key} is not a string"
            elif (enumeration := ENUMERATIONS.get(key.removeprefix("properties."))) and value not in choices(models, enumeration):
                yield f"{where}: {key} is not one of {choices(models, enumeration)}"
        elif kind == "[str]":
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                yield f"{where}: {key} is not a list of strings"
        elif kind.startswith("["):
            for item in value if isinstance(value, list) else [None]:
                if isinstance(item, dict):
                    yield from problems_of(models, getattr(models, kind[1:-1]), item, f"{where}, {key}")
                else:
                    yield f"{where}: {key} is not a list of objects"
        else:
            yield f"{where}: {key} has the type {kind}, which is not known here"
    required = {entry["key"] for name, entry in model._attribute_map.items() if rules.get(name, {}).get("required")}
    yield from (f"{where}: {key} is required" for key in sorted(required - set(flat)))


def choices(models, enumeration):
    found = getattr(models, enumeration)
    assert issubclass(found, enum.Enum)
    return sorted(item.value for item in found)


def problems(template):
    for resource in template["resources"]:
        kind, version = resource["type"], resource["apiVersion"]
        if kind not in MODELS:
            yield f"{kind}: there is no model"
            continue
        package, name = MODELS[kind]
        try:
            models = importlib.import_module(f"azure.mgmt.{package}.v{version.replace('-', '_')}.models")
        except ModuleNotFoundError:
            yield f"{kind}: Microsoft's package has no api-version {version}"
            continue
        body = {field: value for field, value in resource.items() if field not in OF_TEMPLATES}
        yield from problems_of(models, getattr(models, name), body, kind.rsplit("/", 1)[1])


def changed(template, kind, path, value):
    """A copy of the template with another value in one resource. `None` removes the field."""
    broken = copy.deepcopy(template)
    at = next(resource for resource in broken["resources"] if resource["type"].endswith(f"/{kind}"))
    for step in path[:-1]:
        at = at[step]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return broken


# the resource, what is changed in it, and a word of the problem that must be found
BREAKAGES = [
    ("userAssignedIdentities", ["apiVersion"], "2023-02-30", "no api-version 2023-02-30"),
    ("userAssignedIdentities", ["location"], None, "location is required"),
    ("userAssignedIdentities", ["properties"], {"clientId": "x"}, "properties.clientId is read-only"),
    ("federatedIdentityCredentials", ["properties", "audience"], "x", "no properties.audience"),
    ("federatedIdentityCredentials", ["properties", "audiences"], "x", "not a list of strings"),
    ("federatedIdentityCredentials", ["properties", "issuer"], ["x"], "properties.issuer is not a string"),
    ("roleDefinitions", ["properties", "permissions", 0, "dataAction"], [], "no dataAction"),
    ("roleDefinitions", ["properties", "permissions"], ["x"], "not a list of objects"),
    ("roleAssignments", ["properties", "principalId"], None, "properties.principalId is required"),
    ("roleAssignments", ["properties", "principalType"], "Identity", "principalType is not one of"),
    ("roleAssignments", ["type"], "Microsoft.Authorization/locks", "there is no model"),
]


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    found = list(problems(given))
    for kind, path, value, word in BREAKAGES:
        noticed = list(problems(changed(given, kind, path, value)))
        if not any(word in problem for problem in noticed):
            found.append(f"{path} of {kind} as {value} is not noticed: {noticed}")
    for problem in found:
        print(f"arm: {problem}")
    if not found:
        print(f"arm: {len(given['resources'])} resources fit Microsoft's models; {len(BREAKAGES)} differences would be noticed")
    sys.exit(bool(found))
