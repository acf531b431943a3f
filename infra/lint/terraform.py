"""Parses infra/terraform and compares it with what it deploys: infra/aws/template.yaml and infra/azure/azuredeploy.json. Runs in checkov's
environment, which has a parser of HCL.

Usage: terraform.py <folder> <AWS template> <ARM template> <page>
"""

import json
import re
import sys
from pathlib import Path

import hcl2

# An expression of HCL, and what ARM's template says for it.
SAME = {
    "${var.aws_issuer}": "[parameters('awsIssuer')]",
    "${local.role_arn}": "[parameters('awsRoleArn')]",
    "${var.audience}": "[parameters('audience')]",
    "${var.location}": "[parameters('location')]",
    "${var.tags}": "[parameters('tags')]",
    "${var.resource_group_id}": "[resourceGroup().id]",
    "${local.role_definition_id}": "[variables('roleDefinitionId')]",
    "Lets hubkeeper manage the security connectors of resource group ${local.resource_group}.":
        "[format('Lets hubkeeper manage the security connectors of resource group {0}.', resourceGroup().name)]",
    "${lower(var.stack_name)} security connectors ${substr(local.role_guid, 0, 13)}": "[variables('roleName')]",
    "${var.allow_delete ? concat(local.actions,local.delete_actions) : local.actions}":
        "[if(parameters('allowDelete'), concat(variables('actions'), variables('deleteActions')), variables('actions'))]",
    "${azapi_resource.identity.output.properties.principalId}":
        "[if(variables('makesIdentity'), reference(variables('identityId'), '2024-11-30').principalId, parameters('existingPrincipalId'))]",
}
# the variables of Terraform that ARM has as parameters, and the parameter
DEFAULTS = {"audience": "audience", "allow_delete": "allowDelete"}
# the parameters that the packaged template of a release has beside those of the source (crates/release/src/template.rs)
PACKAGED = {"CodeBucket", "CodePrefix"}


def plain(value):
    """The parser's value without the lists around attributes and without line numbers."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if not name.startswith("__")}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def attribute(block, name):
    """An attribute of a block; the parser puts each into a list."""
    found = block.get(name)
    return found[0] if isinstance(found, list) and len(found) == 1 else found


class Module:
    """The files of a module: its resources, variables and locals."""

    def __init__(self, folder):
        self.texts = {file.name: file.read_text() for file in sorted(folder.glob("*.tf*"))}
        self.resources, self.variables, self.locals, self.outputs = {}, {}, {}, {}
        for name, text in self.texts.items():
            parsed = plain(hcl2.loads(text))
            if name.endswith(".tfvars"):
                self.example = {name: attribute(parsed, name) for name in parsed}
                continue
            for block in parsed.get("resource", []):
                [(kind, named)] = block.items()
                self.resources |= {(kind, label): body for label, body in named.items()}
            for section, into in (("variable", self.variables), ("output", self.outputs)):
                for block in parsed.get(section, []):
                    into |= block
            for block in parsed.get("locals", []):
                self.locals |= {name: attribute(block, name) for name in block}

    @property
    def text(self):
        return "\n".join(text for name, text in self.texts.items() if name.endswith(".tf"))


def sections(template, heading):
    """The names of a section's entries in a template of CloudFormation. This environment's parser of YAML does not know its short forms."""
    body = re.search(rf"^{heading}:\n(.*?)(?=^\w|\Z)", template, re.MULTILINE | re.DOTALL)[1]
    return set(re.findall(r"^  (\w+):\n", body, re.MULTILINE))


def check_references(module, *_):
    """Every variable and local value exists and is used; every variable has a type and a description."""
    for what, known in (("var", module.variables), ("local", module.locals)):
        used = set(re.findall(rf"\b{what}\.(\w+)", module.text))
        yield from (f"{what}.{name} does not exist" for name in sorted(used - set(known)))
        yield from (f"{what}.{name} is not used" for name in sorted(set(known) - used))
    for name, variable in module.variables.items():
        if not attribute(variable, "type") or len(attribute(variable, "description") or "") < 20:
            yield f"variable {name} has no type or description"
    required = {name for name, variable in module.variables.items() if "default" not in variable}
    given = set(module.example)
    yield from (f"example.tfvars leaves out {name}" for name in sorted(required - given))
    yield from (f"example.tfvars has {name}, which is no variable" for name in sorted(given - set(module.variables)))


def check_stack(module, template, *_):
    """The stack's parameters and outputs are those of the template, and its required ones are given."""
    stack = module.resources["aws_cloudformation_stack", "hubkeeper"]
    text = module.texts["aws.tf"]
    # and those that packaging adds
    parameters = sections(template, "Parameters") | PACKAGED
    merged = set(re.findall(r"'?(\w+)'?\s*:", attribute(stack, "parameters"))) if "merge(" in attribute(stack, "parameters") else set()
    used = merged | set(module.example["parameters"]) | set(re.findall(r'lookup\(var\.parameters, "(\w+)"', text))
    yield from (f"the template has no parameter {name}" for name in sorted(used - parameters))
    required = {"CodeBucket"} | {name for name in parameters - PACKAGED if "Default:" not in re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", template, re.MULTILINE)[1]}
    yield from (f"parameter {name} is required and not given" for name in sorted(required - used))
    outputs = set(re.findall(r'outputs\["(\w+)"\]', module.text))
    yield from (f"the template has no output {name}" for name in sorted(outputs - sections(template, "Outputs")))
    if sorted(attribute(stack, "capabilities")) != ["CAPABILITY_AUTO_EXPAND", "CAPABILITY_NAMED_IAM"]:
        yield "the stack needs both capabilities"
    # the name that the template gives the role, and the parameter that changes it
    if '"${var.stack_name}-${var.region}"' not in text or "!If [HasRoleName, !Ref RoleName, !Sub \"${AWS::StackName}-${AWS::Region}\"]" not in template:
        yield "the role's name is not the template's"


def translated(value):
    """A value of HCL as ARM's template has it."""
    if isinstance(value, dict):
        return {name: translated(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [translated(inner) for inner in value]
    return SAME.get(value, value)


def check_azure(module, _template, arm, *_):
    """Each resource has the type, api-version and properties of ARM's template; lists of actions and defaults are its, too."""
    ours = {}
    for (kind, label), body in module.resources.items():
        if kind == "azapi_resource":
            name, version = attribute(body, "type").split("@")
            ours[name] = (label, version, body)
    theirs = {resource["type"]: resource for resource in arm["resources"]}
    if set(ours) != set(theirs):
        yield f"the resources differ: {sorted(set(ours) ^ set(theirs))}"
        return
    for name, resource in theirs.items():
        label, version, body = ours[name]
        if version != resource["apiVersion"]:
            yield f"{label} has api-version {version}, not {resource['apiVersion']}"
        properties = (attribute(body, "body") or {}).get("properties")
        if translated(properties) != resource.get("properties"):
            yield f"{label}: {translated(properties)} are not the properties {resource.get('properties')}"
        for field in ("location", "tags"):
            if translated(attribute(body, field)) != resource.get(field):
                yield f"{label}: {field} differs"
    for local, variable in (("actions", "actions"), ("delete_actions", "deleteActions")):
        if module.locals[local] != arm["variables"][variable]:
            yield f"local.{local} is not {arm['variables'][variable]}"
    for variable, parameter in DEFAULTS.items():
        if attribute(module.variables[variable], "default") != arm["parameters"][parameter]["defaultValue"]:
            yield f"variable {variable} has another default than {parameter}"
    credential = ours["Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"][2]
    if attribute(credential, "name") != arm["variables"]["federatedCredentialName"]:
        yield "the federated credential has another name"


def check_page(module, _template, _arm, page):
    """docs/terraform.md lists the variables with their defaults, and its blocks of HCL parse."""
    listed = {}
    for name, default in re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE):
        listed[name] = default.strip().strip("`")
    for name, variable in module.variables.items():
        default = attribute(variable, "default")
        said = "required" if "default" not in variable else {"{}": "none", "True": "true"}.get(str(default), str(default))
        if listed.pop(name, None) != said:
            yield f"the page does not list {name} with the default {said}"
    yield from (f"the page lists {name}, which is no variable" for name in listed)
    blocks = re.findall(r"^```hcl\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    if not blocks:
        yield "the page has no HCL"
    for block in blocks:
        hcl2.loads(block)


CHECKS = [check_references, check_stack, check_azure, check_page]
# the file, what is replaced in it, and a word of the problem that must be found
BREAKAGES = [
    ("azure.tf", "var.aws_issuer", "var.issuer", "var.issuer does not exist"),
    ("azure.tf", "@2024-11-30", "@2023-01-31", "has api-version 2023-01-31"),
    ("azure.tf", '"CustomRole"', '"BuiltInRole"', "are not the properties"),
    ("azure.tf", "audiences = [var.audience]", "audience = var.audience", "are not the properties"),
    ("azure.tf", "notDataActions = []", "notDataActions = [\"*\"]", "are not the properties"),
    ("azure.tf", "securityConnectors/delete", "*", "local.delete_actions is not"),
    ("azure.tf", '  name      = "hubkeeper"', '  name      = "other"', "has another name"),
    ("azure.tf", "Microsoft.Authorization/roleAssignments@", "Microsoft.Authorization/locks@", "the resources differ"),
    ("aws.tf", "AzureTenantId =", "AzureTenant =", "the template has no parameter AzureTenant"),
    ("aws.tf", "AzureClientId =", "AzureAuth =", "parameter AzureClientId is required"),
    ("aws.tf", ', "CAPABILITY_AUTO_EXPAND"', "", "both capabilities"),
    ("aws.tf", "${var.stack_name}-${var.region}", "${var.stack_name}", "the role's name"),
    ("outputs.tf", '"FunctionName"', '"Function"', "no output Function"),
    ("variables.tf", "default     = true", "default     = false", "allow_delete has another default"),
    ("example.tfvars", "aws_issuer ", "issuer ", "leaves out aws_issuer"),
    ("example.tfvars", "NotificationEmail", "NotificationMail", "no parameter NotificationMail"),
]


def problems(module, *texts):
    return [problem for check in CHECKS for problem in check(module, *texts)]


def main(folder, template, arm, page):
    texts = (Path(template).read_text(), json.loads(Path(arm).read_text()), Path(page).read_text())
    found = problems(Module(Path(folder)), *texts)
    for name, old, new, word in BREAKAGES:
        files = {file.name: file.read_text() for file in Path(folder).glob("*.tf*")}
        assert old in files[name], f"{name} has no {old}"

        class Broken(Module):
            def __init__(self):
                import tempfile

                with tempfile.TemporaryDirectory() as place:
                    for file, text in files.items():
                        (Path(place) / file).write_text(text.replace(old, new) if file == name else text)
                    super().__init__(Path(place))

        noticed = problems(Broken(), *texts)
        if not any(word in problem for problem in noticed):
            found.append(f"`{new}` in {name} is not noticed: {noticed}")
    for problem in found:
        print(f"terraform: {problem}")
    if not found:
        print(f"terraform: parsed, the same as the templates; {len(BREAKAGES)} differences would be noticed")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
