"""Compares infra/azure with the code: `python3 infra/azure/test_azure.py`. Standard library only, no network, no Azure.

Every check is a function from the files (`Files`) to the problems that it finds. It finds none in the files as they are. In each
deliberately broken copy (`BREAKAGES`) it must find the damage, so every check can fail.

A small evaluator, `deploy`, runs the template. It knows the functions that the template uses and is stricter than ARM in one respect:
a `reference` needs its resource in the same mode and, transitively, in `dependsOn`. `guid` and `uniqueString` are stand-ins: equal
input gives equal output, but not ARM's own values.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import re
import shlex
import unittest
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path("infra/azure")
DOCUMENTS = ("README.md", "client-secret.md")
AWS_TEMPLATE = Path("infra/aws/template.yaml")

IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
FEDERATED = f"{IDENTITY}/federatedIdentityCredentials"
ROLE = "Microsoft.Authorization/roleDefinitions"
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"

# Permissions that the code needs, and those that it does without: see "The rights, and why" in the README.
DONE_WITHOUT = "Microsoft.Security/healthReports/read"

ISSUER = "https://0A0b0c0d-0000-4000-8000-000000000002.tokens.sts.global.api.aws"
SUBJECT = "arn:aws:iam::111122223333:role/Some/Path/Hubkeeper-eu-west-1"
PRINCIPAL = "0000000A-0000-4000-8000-000000000003"


class Wrong(Exception):
    """ARM would reject the template, or the deployment of it."""


@dataclass
class Files:
    """All files that the checks read. A breakage changes a copy."""

    template: dict[str, Any]
    example: dict[str, Any]
    documents: dict[str, str]
    sources: dict[str, str]
    aws: str | None

    @staticmethod
    def read() -> Files:
        here = ROOT / HERE
        aws = ROOT / AWS_TEMPLATE
        return Files(
            template=parse((here / "azuredeploy.json").read_text("utf-8")),
            example=parse((here / "azuredeploy.parameters.example.json").read_text("utf-8")),
            documents={name: (here / name).read_text("utf-8") for name in DOCUMENTS},
            sources={
                path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
                for folder in ("src", "crates/core/src")
                for path in sorted((ROOT / folder).rglob("*.rs"))
            },
            aws=aws.read_text("utf-8") if aws.exists() else None,
        )

    def resource(self, kind: str) -> dict[str, Any]:
        return next(resource for resource in self.template["resources"] if resource["type"] == kind)


def parse(text: str) -> dict[str, Any]:
    """Parses JSON and rejects duplicate fields: otherwise the last one would win silently."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise Wrong(f"doubled members: {sorted(doubled)}")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once)


# ---------------------------------------------------------------------------------------------------------------- expressions

TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[(),.\[\]]))")


def parse_expression(text: str) -> tuple:
    """`[if(a, b, c).d[0]]` as nested tuples: ("text", s), ("number", n), ("call", name, args), ("member", of, name), ("item", of, index)."""
    body, tokens, at = text[1:-1], [], 0
    while body[at:].strip():
        match = TOKEN.match(body, at)
        if not match:
            raise Wrong(f"cannot read {text!r} at {body[at:]!r}")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    position = 0

    def peek(sign: str) -> bool:
        return position < len(tokens) and tokens[position] == ("sign", sign)

    def take(sign: str | None = None) -> tuple[str, str]:
        nonlocal position
        if position == len(tokens) or (sign and not peek(sign)):
            raise Wrong(f"{text!r}: {sign or 'something'} is missing")
        position += 1
        return tokens[position - 1]

    def expression() -> tuple:
        kind, value = take()
        if kind == "text":
            node: tuple = ("text", value[1:-1].replace("''", "'"))
        elif kind == "number":
            node = ("number", int(value))
        elif kind == "name":
            take("(")
            arguments = []
            while not peek(")"):
                arguments.append(expression())
                if not peek(")"):
                    take(",")
            take(")")
            node = ("call", value, arguments)
        else:
            raise Wrong(f"{text!r}: {value!r} is out of place")
        while peek(".") or peek("["):
            if take()[1] == ".":
                node = ("member", node, take()[1])
            else:
                node = ("item", node, expression())
                take("]")
        return node

    node = expression()
    if position != len(tokens):
        raise Wrong(f"{text!r}: {tokens[position][1]!r} is left over")
    return node


def is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("[") and value.endswith("]") and not value.startswith("[[")


def calls(value: Any) -> list[tuple[str, list[tuple]]]:
    """Every function call in a value: its name and arguments."""
    if isinstance(value, dict):
        return [call for item in value.values() for call in calls(item)]
    if isinstance(value, list):
        return [call for item in value for call in calls(item)]
    found: list[tuple[str, list[tuple]]] = []

    def walk(node: tuple) -> None:
        if node[0] == "call":
            found.append((node[1], node[2]))
            for argument in node[2]:
                walk(argument)
        elif node[0] in ("member", "item"):
            walk(node[1])
            if node[0] == "item":
                walk(node[2])

    if is_expression(value):
        walk(parse_expression(value))
    return found


def named(value: Any, function: str) -> set[str]:
    """The argument of `parameters` or `variables`."""
    return {arguments[0][1] for name, arguments in calls(value) if name == function}


# ------------------------------------------------------------------------------------------------------------------- evaluator


@dataclass(frozen=True)
class Group:
    """The target resource group. Mixed case: ARM ignores case, hashes do not."""

    name: str = "RG-Security"
    subscription: str = "00000000-0000-4000-8000-000000000001"
    tenant: str = "00000000-0000-4000-8000-0000000000aa"

    @property
    def id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.name}"


@dataclass
class Deployment:
    """The result of a deployment."""

    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Any]:
        found = [resource for resource in self.resources.values() if resource["type"] == kind]
        if len(found) != 1:
            raise Wrong(f"{len(found)} resources of type {kind}")
        return found[0]

    def kinds(self) -> set[str]:
        return {resource["type"] for resource in self.resources.values()}


class Evaluator:
    """Values of a template for one set of parameters."""

    def __init__(self, template: dict[str, Any], parameters: dict[str, Any], group: Group):
        self.template, self.group = template, group
        # the resources that `reference` can see now; None: not at all, as in names and conditions
        self.visible: dict[str, dict[str, Any]] | None = None
        self.parameters = self._parameters(parameters)

    def _parameters(self, given: dict[str, Any]) -> dict[str, Any]:
        declared = self.template["parameters"]
        if unknown := set(given) - set(declared):
            raise Wrong(f"unknown parameters: {sorted(unknown)}")
        values = {}
        for name, rule in declared.items():
            if name not in given and "defaultValue" not in rule:
                raise Wrong(f"parameter {name} is missing")
            value = given[name] if name in given else self.value(rule["defaultValue"])
            kinds = {"string": str, "bool": bool, "object": dict, "array": list, "int": int}
            if not isinstance(value, kinds[rule["type"]]):
                raise Wrong(f"parameter {name} is no {rule['type']}")
            if rule["type"] == "string" and not rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", 1 << 20):
                raise Wrong(f"parameter {name} is too short or too long")
            if value not in rule.get("allowedValues", [value]):
                raise Wrong(f"parameter {name} may not be {value!r}")
            values[name] = value
        return values

    def value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self.value(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return self._node(parse_expression(value)) if is_expression(value) else value

    def _node(self, node: tuple) -> Any:
        kind = node[0]
        if kind in ("text", "number"):
            return node[1]
        if kind in ("member", "item"):
            of, key = self._node(node[1]), node[2] if kind == "member" else self._node(node[2])
            try:
                return of[key]
            except (KeyError, IndexError, TypeError):
                raise Wrong(f"no {key!r} in {of!r}") from None
        name, arguments = node[1], node[2]
        if name == "if":
            if len(arguments) != 3:
                raise Wrong("if wants three arguments")
            condition = self._node(arguments[0])
            if not isinstance(condition, bool):
                raise Wrong("the condition of an if is no bool")
            return self._node(arguments[1] if condition else arguments[2])
        function = getattr(self, f"_f_{name}", None)
        if function is None:
            raise Wrong(f"unknown function {name}")
        try:
            return function(*(self._node(argument) for argument in arguments))
        except TypeError as error:
            raise Wrong(f"{name}: {error}") from None

    def _f_parameters(self, name: str) -> Any:
        if name not in self.template["parameters"]:
            raise Wrong(f"no parameter {name}")
        return self.parameters[name]

    def _f_variables(self, name: str) -> Any:
        if name not in self.template["variables"]:
            raise Wrong(f"no variable {name}")
        outside, self.visible = self.visible, None
        try:
            return self.value(self.template["variables"][name])
        finally:
            self.visible = outside

    def _f_resourceGroup(self) -> dict[str, str]:
        return {"id": self.group.id, "name": self.group.name, "location": "westeurope"}

    def _f_subscription(self) -> dict[str, str]:
        subscription = self.group.subscription
        return {"id": f"/subscriptions/{subscription}", "subscriptionId": subscription, "tenantId": self.group.tenant}

    def _f_resourceId(self, kind: str, *names: str) -> str:
        return self.group.id + path_of(kind, names)

    def _f_subscriptionResourceId(self, kind: str, *names: str) -> str:
        return f"/subscriptions/{self.group.subscription}" + path_of(kind, names)

    def _f_reference(self, resource: str, api_version: str) -> Any:
        if self.visible is None:
            raise Wrong("reference is not allowed in names, conditions, dependencies and variables")
        if resource not in self.visible:
            raise Wrong(f"reference to {resource}, which is left out here, or not waited for")
        if self.visible[resource]["apiVersion"] != api_version:
            raise Wrong(f"reference to {resource} by another api-version than its own")
        return self.visible[resource]["seen"]

    def _f_empty(self, value: Any) -> bool:
        return len(value) == 0

    def _f_toLower(self, text: str) -> str:
        return text.lower()

    def _f_format(self, text: str, *values: Any) -> str:
        return text.format(*values)

    def _f_concat(self, *values: Any) -> Any:
        return list(itertools.chain(*values)) if isinstance(values[0], list) else "".join(values)

    def _f_guid(self, *values: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, "\0".join(values)))

    def _f_uniqueString(self, *values: str) -> str:
        return hashlib.sha256("\0".join(values).encode()).hexdigest()[:13]


def path_of(kind: str, names: tuple[str, ...] | list[str]) -> str:
    provider, *types = kind.split("/")
    if len(types) != len(names) or not all(names):
        raise Wrong(f"{kind} does not fit the names {list(names)}")
    return f"/providers/{provider}" + "".join(f"/{each}/{name}" for each, name in zip(types, names, strict=True))


def deploy(template: dict[str, Any], parameters: dict[str, Any], group: Group = Group()) -> Deployment:
    """Runs the template as ARM would, in the order of its dependencies."""
    evaluator = Evaluator(template, parameters, group)
    declared: dict[str, dict[str, Any]] = {}
    for resource in template["resources"]:
        name = evaluator.value(resource["name"])
        key = group.id + path_of(resource["type"], name.split("/"))
        if key in declared:
            raise Wrong(f"{key} is declared twice")
        declared[key] = {
            "type": resource["type"],
            "apiVersion": resource["apiVersion"],
            "name": name,
            "wanted": evaluator.value(resource.get("condition", True)),
            "after": evaluator.value(resource.get("dependsOn", [])),
            "body": resource,
        }
    for key, resource in declared.items():
        if strangers := [each for each in resource["after"] if each not in declared]:
            raise Wrong(f"{key} waits for {strangers}, which the template does not make")
        parent = key.rsplit("/", 2)[0]
        if resource["wanted"] and parent in declared and not declared[parent]["wanted"]:
            raise Wrong(f"{key} is made without its parent")
        if parent in declared and parent not in resource["after"]:
            raise Wrong(f"{key} does not wait for its parent")

    made = Deployment()

    def closure(key: str, path: tuple[str, ...] = ()) -> set[str]:
        if key in path:
            raise Wrong(f"{key} waits for itself")
        below = [closure(each, (*path, key)) for each in declared[key]["after"]]
        return set(declared[key]["after"]).union(*below)

    for key in sorted(declared, key=lambda key: len(closure(key))):
        resource = declared[key]
        if not resource["wanted"]:
            continue
        evaluator.visible = {each: made.resources[each] for each in closure(key) if each in made.resources}
        properties = evaluator.value(resource["body"].get("properties", {}))
        evaluator.visible = None
        seen = properties
        if resource["type"] == IDENTITY:
            seen = {"clientId": "the client", "principalId": "the principal", "tenantId": group.tenant}
        made.resources[key] = {
            **{name: resource[name] for name in ("type", "apiVersion", "name")},
            **{name: evaluator.value(resource["body"][name]) for name in ("location", "tags") if name in resource["body"]},
            "properties": properties,
            "seen": seen,
        }
    evaluator.visible = made.resources
    for name, output in template["outputs"].items():
        value = evaluator.value(output["value"])
        if output["type"] != "string" or not isinstance(value, str):
            raise Wrong(f"output {name} is no string")
        made.outputs[name] = value
    return made


FEDERATING = {"awsIssuer": ISSUER, "awsRoleArn": SUBJECT}
MODES = {
    "federated": FEDERATING,
    "federated, no delete": {**FEDERATING, "allowDelete": False},
    "federated, government": {**FEDERATING, "audience": "api://AzureADTokenExchangeUSGov", "tags": {"a": "b"}},
    "existing principal": {"existingPrincipalId": PRINCIPAL},
    "existing principal, no delete": {"existingPrincipalId": PRINCIPAL, "allowDelete": False},
}


# ---------------------------------------------------------------------------------------------------------------------- source


# a raw string, a string, a character, a comment of a line, a comment of a block
RUST = re.compile(r'r(#*)".*?"\1|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\\n]|\\[^\']+)\'|//[^\n]*|/\*.*?\*/', re.DOTALL)


def code_of(text: str) -> str:
    """Rust without comments and unit tests; literals stay."""
    text = re.split(r"#\[cfg\(test\)\]\s*mod ", text, maxsplit=1)[0]
    return RUST.sub(lambda match: "" if match[0].startswith("/") else match[0], text)


def functions_of(code: str) -> dict[str, str]:
    """Every function with its signature, up to the brace that closes its body."""
    blank = RUST.sub(lambda match: "_" * len(match[0]), code)
    found = {}
    for match in re.finditer(r"\bfn\s+(\w+)", blank):
        opening = blank.index("{", match.end())
        depth, end = 0, opening
        while True:
            depth += {"{": 1, "}": -1}.get(blank[end], 0)
            end += 1
            if depth == 0:
                break
        found[match[1]] = code[match.start() : end]
    return found


# the ARM client and its modules
ARM = "src/clients/azure/arm"
PREFLIGHT = "src/clients/azure/arm/inspect.rs"


def rights_of(sources: dict[str, str]) -> tuple[set[str], list[str]]:
    """The permissions that the calls to ARM need, and the calls that could not be parsed."""
    verbs = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
    problems = []
    for name, text in sources.items():
        if not name.startswith(ARM) and re.search(r'"Microsoft\.\w+"', code_of(text)):
            problems.append(f"{name} names a resource provider: which right does it need?")
    functions = {}
    for name in sorted(name for name in sources if name.startswith(ARM)):
        if name == PREFLIGHT:
            # doctor reads with the rights that there are, and says what it may not read: the role needs none for it
            methods = set(re.findall(r'\binspect\(\s*"(\w+)"', code_of(sources[name])))
            if methods != {"GET", "POST"} or code_of(sources[name]).count('"POST"') != 1:
                problems.append(f"{name} sends more than reads and the check of policies: {sorted(methods)}")
            continue
        for function, body in functions_of(code_of(sources[name])).items():
            if function in functions:
                problems.append(f"{name} has another function `{function}` of ARM's client: give it a name of its own")
            functions[function] = body

    def kind(function: str) -> str | None:
        match = re.search(r'"(Microsoft\.\w+)",\s*"(\w+)"', functions.get(function, ""))
        return f"{match[1]}/{match[2]}" if match else None

    rights = set()
    for name, body in functions.items():
        for argument in re.findall(r"\.\s*send\(\s*([^\s,)]+)\s*,", body):
            if name == "send":
                continue
            if argument.startswith("self."):
                problems.append(f"the method of a call in `{name}` is no literal")
                continue
            verb = verbs.get(argument.strip('"'))
            resource = kind(name) or kind("url")
            if not verb or not resource:
                problems.append(f"a call in `{name}` cannot be read: {argument}")
                continue
            rights.add(f"{resource}/{verb}")
    health = functions.get("health", "")
    if DONE_WITHOUT in rights and not re.search(r"->\s*Option<", health):
        problems.append("hubkeeper requests the health report, and its absence is an error: the role needs the right")
    return rights, problems


# ------------------------------------------------------------------------------------------------------------------- documents


@dataclass
class Command:
    """A command of a document: its words, and whether its output goes into a pipe."""

    words: list[str]
    piped: bool

    def starts(self, text: str) -> bool:
        return self.words[: len(text.split())] == text.split()

    def option(self, name: str) -> list[str]:
        """The words after an option, up to the next one."""
        if name not in self.words:
            return []
        after = self.words[self.words.index(name) + 1 :]
        return list(itertools.takewhile(lambda word: not word.startswith("--"), after))


def commands_of(document: str) -> list[Command]:
    """Every command in a block of shell code, including those inside `$(…)`."""
    found = []
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", document, re.DOTALL | re.MULTILINE):
        text = re.sub(r"\\\n", " ", block)
        text = re.sub(r"\n\s*\|", " |", text)
        logical = ""
        for line in text.splitlines():
            logical += line + "\n"
            try:
                found.extend(split(logical))
            except ValueError:
                continue  # a quote is still open
            logical = ""
        if logical.strip():
            raise Wrong(f"cannot read: {logical!r}")
    return found


def split(line: str) -> list[Command]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();|&")
    lexer.whitespace_split, lexer.commenters = True, "#"
    found, words = [], []
    for word in [*lexer, ";"]:
        if word and set(word) <= set("();|&"):
            if words:
                found.append(Command(words, word == "|"))
            words = []
            continue
        inner = re.search(r"\$\((.*)\)", word, re.DOTALL)
        if inner:
            found.extend(split(inner[1]))
        # an assignment before a substitution is not a command: scope=$(az …)
        if not re.fullmatch(r"\w+=\$?", word) or words:
            words.append(word)
    return found


def table(document: str, head: str) -> dict[str, str]:
    """A table, found by its first heading: the names in backticks of the first column, and the rest of the row."""
    lines = document.splitlines()
    at = next((number for number, line in enumerate(lines) if line.startswith(f"| {head} |")), None)
    if at is None:
        return {}
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[at + 2 :])
    cells = (row.split("|", 2) for row in rows)
    return {name: rest for _, first, rest in cells for name in re.findall(r"`([^`]+)`", first)}


def deployments(files: Files) -> list[tuple[str, Command]]:
    return [
        (name, command)
        for name, document in files.documents.items()
        for command in commands_of(document)
        if command.starts("az deployment group create") or command.starts("az deployment group what-if")
    ]


# ---------------------------------------------------------------------------------------------------------------------- checks

Check = Callable[[Files], list[str]]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    def guarded(files: Files) -> list[str]:
        try:
            return function(files)
        except Wrong as error:
            return [str(error)]

    CHECKS[function.__name__] = guarded
    return guarded


@check
def shape(files: Files) -> list[str]:
    """A resource-group deployment of four resources, all of stable api-versions."""
    template, problems = files.template, []
    if template["$schema"] != "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#":
        problems.append("not the schema of a resource-group deployment")
    if not re.fullmatch(r"\d+(\.\d+){3}", template["contentVersion"]):
        problems.append("contentVersion has not four numbers")
    if sorted(resource["type"] for resource in template["resources"]) != sorted([IDENTITY, FEDERATED, ROLE, ASSIGNMENT]):
        problems.append("other resources than identity, federated credential, role and assignment")
    for resource in template["resources"]:
        known = {"condition", "type", "apiVersion", "name", "location", "tags", "dependsOn", "properties"}
        if strange := set(resource) - known:
            problems.append(f"{resource['type']} has {sorted(strange)}")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", resource["apiVersion"]):
            problems.append(f"{resource['type']} has the api-version {resource['apiVersion']}")
    return problems


@check
def parameters(files: Files) -> list[str]:
    """Every parameter and variable is used. Parameters have descriptions, limits, and valid defaults."""
    template, problems = files.template, []
    body = [template["resources"], template["outputs"]]
    defaults = [rule.get("defaultValue") for rule in template["parameters"].values()]
    for name, rule in template["parameters"].items():
        if name not in named([body, template["variables"], defaults], "parameters"):
            problems.append(f"parameter {name} is not used")
        if len(rule.get("metadata", {}).get("description", "")) < 20:
            problems.append(f"parameter {name} is not described")
        if rule["type"] == "string" and not {"maxLength", "allowedValues"} & set(rule):
            problems.append(f"parameter {name} has no bound")
        if "defaultValue" not in rule:
            problems.append(f"parameter {name} has no default: existingPrincipalId could not be used alone")
    for name in template["variables"]:
        if name not in named([body, template["variables"]], "variables"):
            problems.append(f"variable {name} is not used")
    for name, output in template["outputs"].items():
        if not output.get("metadata", {}).get("description"):
            problems.append(f"output {name} is not described")
    for kind in ("parameters", "variables"):
        if unknown := named([body, template["variables"], defaults], kind) - set(template[kind]):
            problems.append(f"unknown {kind}: {sorted(unknown)}")
    return problems


@check
def no_secret(files: Files) -> list[str]:
    """The template has no secret input or output."""
    template, problems = files.template, []
    secretive = re.compile(r"secret|password|passphrase|credential$|key|token|assertion|sas", re.IGNORECASE)
    names = [*template["parameters"], *template["outputs"], *files.example["parameters"]]
    problems += [f"{name} sounds like a secret" for name in names if secretive.search(name)]
    for part in ("parameters", "outputs"):
        for name, rule in template[part].items():
            if rule["type"].lower().startswith("secure"):
                problems.append(f"{name} is a {rule['type']}")
    for name, _ in calls(template):
        if re.match(r"list[A-Z]", name) or name == "newGuid":
            problems.append(f"{name} is called")
    return problems


@check
def modes(files: Files) -> list[str]:
    """In each mode the template runs, creates the expected resources, and refers to nothing that the mode omits."""
    problems = []
    for name, given in MODES.items():
        try:
            made = deploy(files.template, given)
        except Wrong as error:
            problems.append(f"{name}: {error}")
            continue
        whole = {IDENTITY, FEDERATED, ROLE, ASSIGNMENT}
        federated = "existingPrincipalId" not in given
        if made.kinds() != (whole if federated else {ROLE, ASSIGNMENT}):
            problems.append(f"{name}: makes {sorted(made.kinds())}")
            continue
        principal = "the principal" if federated else PRINCIPAL
        expected = {
            "tenantId": Group().tenant,
            "clientId": "the client" if federated else "",
            "principalId": principal,
            "identityResourceId": f"{Group().id}/providers/{IDENTITY}/hubkeeper" if federated else "",
            "roleDefinitionId": f"/subscriptions/{Group().subscription}/providers/{ROLE}/{made.of(ROLE)['name']}",
            "federatedIssuer": ISSUER if federated else "",
            "federatedSubject": SUBJECT if federated else "",
            "federatedAudience": given.get("audience", "api://AzureADTokenExchange") if federated else "",
        }
        if made.outputs != expected:
            different = sorted(key for key in {*expected, *made.outputs} if expected.get(key) != made.outputs.get(key))
            problems.append(f"{name}: wrong outputs {different}")
        if made.of(ASSIGNMENT)["properties"]["principalId"] != principal:
            problems.append(f"{name}: the assignment is somebody else's")
        if federated and made.of(IDENTITY)["tags"] != given.get("tags", {}):
            problems.append(f"{name}: the tags are lost")
    return problems


@check
def federation(files: Files) -> list[str]:
    """Issuer, subject and one audience, exactly as given: Entra compares them literally."""
    properties = deploy(files.template, FEDERATING).of(FEDERATED)["properties"]
    expected = {"issuer": ISSUER, "subject": SUBJECT, "audiences": ["api://AzureADTokenExchange"]}
    problems = [] if properties == expected else [f"the federated credential is {properties}"]
    limits = {name: files.template["parameters"][name].get("maxLength") for name in ("awsIssuer", "awsRoleArn")}
    return problems + [f"{name} may have {limit} characters, Entra takes 600" for name, limit in limits.items() if limit != 600]


@check
def audiences(files: Files) -> list[str]:
    """The audiences are those that the function asks STS for, the public cloud's first."""
    code = functions_of(code_of(files.sources["crates/core/src/config/values.rs"])).get("audience", "")
    of = dict(re.findall(r'Cloud::(\w+)\s*=>\s*"([^"]+)"', code))
    rule, problems = files.template["parameters"]["audience"], []
    if set(of) != {"Public", "UsGovernment"}:
        problems.append(f"the code has audiences for {sorted(of)}")
    if sorted(rule["allowedValues"]) != sorted(of.values()):
        problems.append(f"the template has {rule['allowedValues']}, the code {sorted(of.values())}")
    if rule["defaultValue"] != of.get("Public"):
        problems.append("the default is not the public cloud's audience")
    for name, document in files.documents.items():
        if strange := set(re.findall(r"api://\w+", document)) - set(of.values()):
            problems.append(f"{name} has the audience {sorted(strange)}")
    return problems


@check
def rights(files: Files) -> list[str]:
    """The role has exactly the permissions that the code needs; without delete in the mode that excludes it."""
    called, problems = rights_of(files.sources)
    wanted = called - {DONE_WITHOUT}
    delete = {right for right in wanted if right.endswith("/delete")}
    if not delete or len(wanted) < 3:
        problems.append(f"the source calls for {sorted(wanted)} only: is it read rightly?")
    for given, expected in ((True, wanted), (False, wanted - delete)):
        for mode in (FEDERATING, {"existingPrincipalId": PRINCIPAL}):
            role = deploy(files.template, {**mode, "allowDelete": given}).of(ROLE)["properties"]
            permissions = role["permissions"]
            if len(permissions) != 1:
                problems.append("not exactly one set of permissions")
            actions = permissions[0]["actions"]
            if sorted(actions) != sorted(expected):
                problems.append(f"allowDelete={given}: the role has {sorted(actions)}, the code calls for {sorted(expected)}")
            if any("*" in action for action in actions):
                problems.append("a wildcard among the actions")
            for other in ("notActions", "dataActions", "notDataActions"):
                if permissions[0].get(other):
                    problems.append(f"the role has {other}")
    if DONE_WITHOUT in called and DONE_WITHOUT not in files.documents["README.md"]:
        problems.append(f"the README does not say why {DONE_WITHOUT} is left out")
    documented = set(table(files.documents["README.md"], "right"))
    if documented != wanted:
        problems.append(f"the README's table has {sorted(documented)}")
    return problems


@check
def scopes(files: Files) -> list[str]:
    """Role and assignment are limited to the resource group; their names depend on it, regardless of case."""
    problems = []
    made = deploy(files.template, FEDERATING)
    role, assignment = made.of(ROLE), made.of(ASSIGNMENT)
    if role["properties"]["assignableScopes"] != [Group().id]:
        problems.append(f"the role is assignable at {role['properties']['assignableScopes']}")
    if role["properties"]["type"] != "CustomRole":
        problems.append("the role's type is not CustomRole")
    if assignment["properties"]["roleDefinitionId"] != f"/subscriptions/{Group().subscription}/providers/{ROLE}/{role['name']}":
        problems.append("the assignment is of another role")
    if assignment["properties"]["principalType"] != "ServicePrincipal":
        problems.append("without principalType ServicePrincipal a new identity is not found")
    if len(role["properties"]["roleName"]) > 128:
        problems.append("the role's display name is too long")
    lengthy = deploy(files.template, {**FEDERATING, "identityName": "i" * files.template["parameters"]["identityName"]["maxLength"]}).of(ROLE)["properties"]["roleName"]
    if len(lengthy) > 128:
        problems.append("the role's display name may become too long")

    def names(given: dict[str, Any], group: Group = Group()) -> tuple[str, str, str]:
        run = deploy(files.template, given, group)
        return run.of(ROLE)["name"], run.of(ROLE)["properties"]["roleName"], run.of(ASSIGNMENT)["name"]

    first = names(FEDERATING)
    if names({**FEDERATING, "identityName": "HubKeeper"}, Group(name="rg-security")) != first:
        problems.append("the names change with the case of the group or of the identity")
    for what, other in {
        "group": names(FEDERATING, Group(name="rg-other")),
        "subscription": names(FEDERATING, Group(subscription="00000000-0000-4000-8000-000000000009")),
        "identityName": names({**FEDERATING, "identityName": "other"}),
    }.items():
        if any(mine == theirs for mine, theirs in zip(first, other, strict=True)):
            problems.append(f"another {what} has a name in common: the display name is unique in the tenant")
    principal = names({"existingPrincipalId": PRINCIPAL})
    if principal[:2] != first[:2] or principal[2] == first[2]:
        problems.append("another principal needs the same role and an assignment of its own")
    if names({"existingPrincipalId": PRINCIPAL.lower()}) != principal:
        problems.append("the names change with the case of existingPrincipalId")
    return problems


@check
def example(files: Files) -> list[str]:
    """The example is deployable and shows the formats."""
    given = {name: entry["value"] for name, entry in files.example["parameters"].items()}
    problems = []
    if not files.example["$schema"].endswith("/2019-04-01/deploymentParameters.json#"):
        problems.append("not the schema of parameters")
    if made := deploy(files.template, given).kinds() - {IDENTITY, FEDERATED, ROLE, ASSIGNMENT}:
        problems.append(f"the example makes {made}")
    if not re.fullmatch(r"https://[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tokens\.sts\.global\.api\.aws", given.get("awsIssuer", "")):
        problems.append("the example's awsIssuer is not valid")
    if not re.fullmatch(r"arn:aws:iam::111122223333:role/[\w+=,.@/-]+", given.get("awsRoleArn", "")):
        problems.append("the example's awsRoleArn is not valid")
    if missing := set(files.template["parameters"]) - set(given) - {"existingPrincipalId", "location"}:
        problems.append(f"the example leaves out {sorted(missing)}")
    return problems


@check
def commands(files: Files) -> list[str]:
    """Every deployment in the documents uses existing names, and would run."""
    problems, seen = [], 0
    for name, command in deployments(files):
        seen += 1
        given: dict[str, Any] = {}
        for word in command.option("--parameters"):
            if word == "azuredeploy.parameters.json":
                given |= {key: entry["value"] for key, entry in files.example["parameters"].items()}
                continue
            key, equals, text = word.partition("=")
            rule = files.template["parameters"].get(key)
            if not equals or rule is None:
                problems.append(f"{name}: {word} is no parameter")
                continue
            if rule["type"] == "bool" and text not in ("true", "false"):
                problems.append(f"{name}: {word} is no bool")
                continue
            given[key] = json.loads(text) if rule["type"] in ("bool", "object") else text
        try:
            deploy(files.template, given)
            if "existingPrincipalId" not in given and not (given.get("awsIssuer") and given.get("awsRoleArn")):
                problems.append(f"{name}: a deployment without awsIssuer or awsRoleArn")
        except Wrong as error:
            problems.append(f"{name}: {error}")
        if command.option("--template-file") != [(HERE / "azuredeploy.json").as_posix()]:
            problems.append(f"{name}: a deployment of another file")
        if command.option("--mode"):
            problems.append(f"{name}: a deployment with a mode")
        if command.option("--resource-group") == [] or command.option("--name") != ["hubkeeper"]:
            problems.append(f"{name}: a deployment without a group, or under another name")
    if seen < 5:
        problems.append(f"only {seen} deployments were found in the documents")
    for name, document in files.documents.items():
        for output in re.findall(r"properties\.outputs\.(\w+)", document):
            if output not in files.template["outputs"]:
                problems.append(f"{name}: there is no output {output}")
    return problems


@check
def removal(files: Files) -> list[str]:
    """The README finds the role by the prefix of its real name, and removes assignment, role and identity in this order."""
    readme, problems = files.documents["README.md"], []
    beginnings = re.findall(r"starts_with\(roleName, '([^']+)'\)", readme)
    role = deploy(files.template, FEDERATING).of(ROLE)["properties"]["roleName"]
    if len(beginnings) != 1 or not role.startswith(beginnings[0]):
        problems.append(f"the role is called {role!r}, and looked for by {beginnings}")
    order = [" ".join(command.words[:-1]) for command in commands_of(readme)]
    wanted = ["az role assignment delete", "az role definition delete", "az identity delete"]
    found = [next((at for at, text in enumerate(order) if text.startswith(each)), -1) for each in wanted]
    if -1 in found or found != sorted(found):
        problems.append("the order of removal is not assignment, role, identity")
    return problems


@check
def deletions(files: Files) -> list[str]:
    """No command deletes with an empty variable: `az` ignores an empty filter."""
    return [
        f"{name}: `{' '.join(command.words)}` deletes by a variable that may be empty"
        for name, document in files.documents.items()
        for command in commands_of(document)
        if command.words[0] == "az" and "delete" in command.words
        if any("$" in re.sub(r"\$\{\w+:\?\}", "", word) for word in command.words)
    ]


@check
def tables(files: Files) -> list[str]:
    """The README's tables name every parameter and output with the right defaults."""
    readme, problems = files.documents["README.md"], []
    for head, part in (("parameter", "parameters"), ("output", "outputs")):
        documented = table(readme, head)
        if set(documented) != set(files.template[part]):
            problems.append(f"the table of {part} differs by {sorted(set(documented) ^ set(files.template[part]))}")
        for name, rest in documented.items() if part == "parameters" else ():
            default = files.template[part].get(name, {}).get("defaultValue")
            shown = rest.split("|")[0].strip()
            true = "none" if default in ("", {}) else f"`{json.dumps(default).strip(chr(34))}`"
            if not is_expression(default) and shown.removesuffix(", required") != true:
                problems.append(f"the default of {name} is shown as {shown}")
    return problems


@check
def secrets_in_commands(files: Files) -> list[str]:
    """The client secret never appears in an argument or in a variable, and no other one is deleted by accident."""
    problems, made = [], 0
    for name, document in files.documents.items():
        for command in commands_of(document):
            text = " ".join(command.words)
            if command.starts("az ad app credential reset"):
                made += 1
                if "--append" not in command.words:
                    problems.append(f"{name}: without --append the other client secrets are deleted")
                if not command.piped:
                    problems.append(f"{name}: a client secret is printed")
                if command.option("--query") != ["password"] or command.option("--output") != ["tsv"]:
                    problems.append(f"{name}: more than the client secret goes into the pipe, or in quotes")
                if not command.option("--end-date"):
                    problems.append(f"{name}: a client secret without an end")
            if command.words[0] == "aws" and (value := command.option("--secret-string")) not in ([], ["file:///dev/stdin"]):
                problems.append(f"{name}: a secret in an argument: {value}")
            if command.words[0] == "tr" and command.words[1:] != ["-d", r"\r\n"]:
                problems.append(f"{name}: tr does something else than take off the line's end")
            if re.search(r"--(client-secret|password|key-value|debug)\b|get-secret-value", text):
                problems.append(f"{name}: {text} may show a secret")
    if made != 2:
        problems.append(f"{made} commands make a client secret")
    return problems


@check
def names(files: Files) -> list[str]:
    """Variables, error codes, kinds of errors and links in the documents exist."""
    config = "".join(code_of(files.sources[f"crates/core/src/config{part}.rs"]) for part in ("", "/reader", "/values"))
    entra = code_of(files.sources["crates/core/src/failure/entra.rs"]).replace("_", "")
    errors, problems = code_of(files.sources["crates/core/src/error.rs"]), []
    for name, document in files.documents.items():
        for variable in set(re.findall(r"\b(?:HUBKEEPER|AZURE)_[A-Z_]+\b", document)):
            if f'"{variable}"' not in config:
                problems.append(f"{name}: there is no variable {variable}")
        for code in set(re.findall(r"`(?:AADSTS)?(7\d{4,6})`", document)):
            if not re.search(rf"\b{code}\b", entra):
                problems.append(f"{name}: the code does not know {code}")
        for kind in set(re.findall(r"`(Misconfigured|NeedsHuman|Retryable|Refused|BadEvent)`", document)):
            if kind not in errors:
                problems.append(f"{name}: there is no {kind}")
        for link in re.findall(r"\]\(([^)#]+)\)", document):
            if not (ROOT / HERE / link).exists():
                problems.append(f"{name}: {link} does not exist")
        headings = {re.sub(r"[^a-z -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in document.splitlines() if line.startswith("#")}
        for anchor in re.findall(r"\]\(#([^)]+)\)", document):
            if anchor not in headings:
                problems.append(f"{name}: there is no heading #{anchor}")
        for value in set(re.findall(r"HUBKEEPER_AZURE_(?:AUTH|CLOUD)=([a-z-]+)", document)):
            if f'"{value}"' not in config:
                problems.append(f"{name}: no variable may be {value}")
    return problems


@check
def aws_side(files: Files) -> list[str]:
    """The documents' statements about the AWS stack are true, if the stack is present."""
    if files.aws is None:
        return []
    problems = []
    for name, document in files.documents.items():
        for word in set(re.findall(r"`(Azure[A-Z]\w+|RoleArn)`", document)):
            if not re.search(rf"^  {word}:$", files.aws, re.MULTILINE):
                problems.append(f"{name}: the AWS stack has no {word}")
    if "names it `<stack>-<Region>`" in files.documents["README.md"] and "RoleName: !If [HasRoleName, !Ref RoleName, !Sub \"${AWS::StackName}-${AWS::Region}\"]" not in files.aws:
        problems.append("the AWS stack names its role otherwise")
    return problems


# ------------------------------------------------------------------------------------------------------------------- breakages


def text(document: str, old: str, new: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        assert old in files.documents[document], f"{document} has no {old!r}"
        files.documents[document] = files.documents[document].replace(old, new)

    return change


def source(path: str, pattern: str, new: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        files.sources[path], count = re.subn(pattern, new, files.sources[path])
        assert count, f"{path} has no {pattern}"

    return change


def member(kind: str, *path: str | int, value: Any = None) -> Callable[[Files], None]:
    """Sets or removes a field of a resource."""

    def change(files: Files) -> None:
        at: Any = files.resource(kind)
        for key in path[:-1]:
            at = at[key]
        if value is None:
            del at[path[-1]]
        else:
            at[path[-1]] = value

    return change


def entry(part: str, name: str, *path: str, value: Any = None) -> Callable[[Files], None]:
    """The same for a parameter, a variable or an output."""

    def change(files: Files) -> None:
        at: Any = files.template[part]
        keys = (name, *path)
        for key in keys[:-1]:
            at = at[key]
        if value is None:
            del at[keys[-1]]
        else:
            at[keys[-1]] = value

    return change


def given(name: str, value: Any) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        files.example["parameters"][name] = {"value": value}

    return change


def aws(old: str, new: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        stack = files.aws or "  RoleArn:\n  AzureTenantId:\n  AzureClientId:\n  AzureAuth:\n  AzureClientSecretArn:\n      RoleName: !If [HasRoleName, !Ref RoleName, !Sub \"${AWS::StackName}-${AWS::Region}\"]\n"
        assert old in stack
        files.aws = stack.replace(old, new)

    return change


PERMISSION = ("properties", "permissions", 0)
REFERENCE = "[reference(variables('identityId'), '2024-11-30').principalId]"
CONNECTOR = "src/clients/azure/arm.rs"
WRITER = "src/clients/azure/arm/writer.rs"

# (the check that must report it, a part of the expected message, the damage)
BREAKAGES: list[tuple[str, str, Callable[[Files], None]]] = [
    ("shape", "api-version", member(ROLE, "apiVersion", value="2022-05-01-preview")),
    ("shape", "scope", member(ASSIGNMENT, "scope", value="[subscription().id]")),
    ("shape", "other resources", lambda files: files.template["resources"].append({"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01"})),
    ("shape", "schema", lambda files: files.template.update({"$schema": "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#"})),
    ("parameters", "parameter left is not used", entry("parameters", "left", value={"type": "string", "defaultValue": "", "maxLength": 9, "metadata": {"description": "This one is over and left."}})),
    ("parameters", "variable left is not used", entry("variables", "left", value="over")),
    ("parameters", "not described", entry("parameters", "audience", "metadata")),
    ("parameters", "output clientId is not described", entry("outputs", "clientId", "metadata")),
    ("parameters", "no bound", entry("parameters", "awsIssuer", "maxLength")),
    ("parameters", "no default", entry("parameters", "awsIssuer", "defaultValue")),
    ("parameters", "unknown variables", member(ROLE, "name", value="[variables('elsewhere')]")),
    ("no_secret", "clientSecret sounds", entry("parameters", "clientSecret", value={"type": "string"})),
    ("no_secret", "secureString", entry("parameters", "awsIssuer", "type", value="secureString")),
    ("no_secret", "accessKey sounds", entry("outputs", "accessKey", value={"type": "string", "value": ""})),
    ("no_secret", "listKeys", entry("outputs", "clientId", "value", value="[listKeys(variables('identityId'), '2024-11-30').value]")),
    ("no_secret", "password sounds", given("password", "x")),
    ("modes", "existing principal: reference to", member(ASSIGNMENT, "properties", "principalId", value=REFERENCE)),
    ("modes", "existing principal: reference to", entry("outputs", "principalId", "value", value=REFERENCE)),
    ("modes", "made without its parent", member(FEDERATED, "condition")),
    ("modes", "existing principal: makes", lambda files: [files.resource(kind).pop("condition") for kind in (IDENTITY, FEDERATED)]),
    ("modes", "not waited for", member(ASSIGNMENT, "dependsOn", 0)),
    ("modes", "does not wait for its parent", member(FEDERATED, "dependsOn", 0)),
    ("modes", "which the template does not make", member(ASSIGNMENT, "dependsOn", 1, value="[variables('roleDefinitionId')]")),
    ("modes", "waits for itself", member(ROLE, "dependsOn", value=["[resourceId('Microsoft.Authorization/roleAssignments', variables('assignmentGuid'))]"])),
    ("modes", "not allowed in names", entry("variables", "assignee", value=REFERENCE)),
    ("modes", "unknown function", entry("variables", "group", value="[lower(resourceGroup().id)]")),
    ("modes", "another api-version", member(IDENTITY, "apiVersion", value="2023-01-31")),
    ("modes", "does not fit the names", member(FEDERATED, "name", value="[parameters('identityName')]")),
    ("modes", "is missing", entry("variables", "group", value="[toLower(resourceGroup().id]")),
    ("modes", "somebody else's", member(ASSIGNMENT, "properties", "principalId", value="[if(variables('makesIdentity'), reference(variables('identityId'), '2024-11-30').clientId, parameters('existingPrincipalId'))]")),
    ("modes", "wrong outputs ['tenantId']", entry("outputs", "tenantId", "value", value="[subscription().subscriptionId]")),
    ("modes", "wrong outputs ['identityResourceId']", entry("outputs", "identityResourceId", "value", value="[variables('identityId')]")),
    ("modes", "tags are lost", member(IDENTITY, "tags", value={})),
    ("federation", "the federated credential is", member(FEDERATED, "properties", "subject", value="[toLower(parameters('awsRoleArn'))]")),
    ("federation", "the federated credential is", member(FEDERATED, "properties", "audiences", value=["[parameters('audience')]", "api://other"])),
    ("federation", "Entra takes 600", entry("parameters", "awsRoleArn", "maxLength", value=128)),
    ("audiences", "the template has", entry("parameters", "audience", "allowedValues", value=["api://AzureADTokenExchange"])),
    ("audiences", "the code", source("crates/core/src/config/values.rs", '"api://AzureADTokenExchangeUSGov"', '"api://AzureADTokenExchangeGov"')),
    ("audiences", "the default", entry("parameters", "audience", "defaultValue", value="api://AzureADTokenExchangeUSGov")),
    ("audiences", "client-secret.md has the audience", text("client-secret.md", "api://AzureADTokenExchange", "api://AzureADTokenExchangeX")),
    ("rights", "the code calls for", entry("variables", "actions", value=["Microsoft.Security/securityConnectors/read"])),
    ("rights", "wildcard", entry("variables", "actions", value=["Microsoft.Security/*/read", "Microsoft.Security/securityConnectors/write"])),
    ("rights", "the code calls for", entry("variables", "actions", value=["Microsoft.Security/securityConnectors/read", "Microsoft.Security/securityConnectors/write", DONE_WITHOUT])),
    ("rights", "allowDelete=False", member(ROLE, *PERMISSION, "actions", value="[concat(variables('actions'), variables('deleteActions'))]")),
    ("rights", "allowDelete=True", member(ROLE, *PERMISSION, "actions", value="[variables('actions')]")),
    ("rights", "the role has dataActions", member(ROLE, *PERMISSION, "dataActions", value=["Microsoft.Security/x/read"])),
    ("rights", "not exactly one", lambda files: files.resource(ROLE)["properties"]["permissions"].append({"actions": ["*"]})),
    ("rights", "cannot be read", source(WRITER, r'send\(\s*"DELETE"', 'send("POST"')),
    ("rights", "sends more than reads", source(PREFLIGHT, r'inspect\("GET"', 'inspect("PUT"')),
    ("rights", "read rightly", source(WRITER, r'send\(\s*"DELETE"', 'send("GET"')),
    ("rights", "the code calls for", source(CONNECTOR, '"securityConnectors"', '"pricings"')),
    ("rights", "the code calls for", source(CONNECTOR, '"healthReports"', '"alerts"')),
    ("rights", "its absence is an error", source(CONNECTOR, r"(fn health\([^{]*)-> Option<Health>", r"\1-> Result<Health, Error>")),
    ("rights", "names a resource provider", source("crates/core/src/connector/merge.rs", r"\A", 'const OTHER: &str = "Microsoft.Resources";\n')),
    ("rights", "does not say why", text("README.md", DONE_WITHOUT, "the right")),
    ("rights", "the README's table", text("README.md", "| `Microsoft.Security/securityConnectors/write` |", "| `Microsoft.Security/securityConnectors/action` |")),
    ("scopes", "assignable at", member(ROLE, "properties", "assignableScopes", value=["[subscription().id]"])),
    ("scopes", "assignable at", member(ROLE, "properties", "assignableScopes", value=["[resourceGroup().id]", "[subscription().id]"])),
    ("scopes", "another role", member(ASSIGNMENT, "properties", "roleDefinitionId", value="[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '8e3af657-a8ff-443c-a75c-2fe8c4bcb635')]")),
    ("scopes", "principalType", member(ASSIGNMENT, "properties", "principalType", value="User")),
    ("scopes", "CustomRole", member(ROLE, "properties", "type", value="BuiltInRole")),
    ("scopes", "change with the case", entry("variables", "group", value="[resourceGroup().id]")),
    ("scopes", "another group", entry("variables", "roleName", value="[format('{0} security connectors', toLower(parameters('identityName')))]")),
    ("scopes", "another subscription", entry("variables", "group", value="[toLower(resourceGroup().name)]")),
    ("scopes", "another identityName", entry("variables", "roleGuid", value="[guid(variables('group'))]")),
    ("scopes", "assignment of its own", entry("variables", "assignmentGuid", value="[guid(variables('group'), variables('roleGuid'))]")),
    ("scopes", "case of existingPrincipalId", entry("variables", "assignmentGuid", value="[guid(variables('group'), variables('roleGuid'), variables('assignee'))]")),
    ("scopes", "may become too long", entry("parameters", "identityName", "maxLength", value=128)),
    ("scopes", "may become too long", entry("variables", "roleName", value="[format('{0} {0} {1}', toLower(parameters('identityName')), uniqueString(variables('group')))]")),
    ("example", "unknown parameters", given("tenantId", "x")),
    ("example", "awsRoleArn is not valid", given("awsRoleArn", "arn:aws:sts::111122223333:assumed-role/hubkeeper/session")),
    ("example", "awsIssuer is not valid", given("awsIssuer", "https://sts.amazonaws.com")),
    ("example", "may not be", given("audience", "api://else")),
    ("example", "is no bool", given("allowDelete", "true")),
    ("example", "leaves out", lambda files: files.example["parameters"].pop("tags")),
    ("commands", "is no parameter", text("README.md", "allowDelete=false", "allowDeletion=false")),
    ("commands", "is no bool", text("README.md", "allowDelete=false", "allowDelete=no")),
    ("commands", "is no parameter", text("client-secret.md", "existingPrincipalId=", "principalId=")),
    ("commands", "may not be", text("README.md", "audience=api://AzureADTokenExchangeUSGov", "audience=api://AzureADTokenExchangeGov")),
    ("commands", "without awsIssuer", text("README.md", "    --parameters awsIssuer=", "    --parameters identityName=hubkeeper #")),
    ("commands", "another file", text("README.md", "--template-file infra/azure/azuredeploy.json", "--template-file infra/azure/main.bicep")),
    ("commands", "with a mode", text("README.md", "az deployment group create --name hubkeeper", "az deployment group create --mode Complete --name hubkeeper")),
    ("commands", "under another name", text("client-secret.md", "create --name hubkeeper --resource-group", "create --name other --resource-group")),
    ("commands", "no output", text("README.md", "properties.outputs.clientId", "properties.outputs.client")),
    ("removal", "looked for by", entry("variables", "roleName", value="[format('Role of {0} {1}', parameters('identityName'), uniqueString(variables('group')))]")),
    ("removal", "order of removal", text("README.md", "az role definition delete", "az role definition show")),
    ("removal", "order of removal", text("README.md", "az role assignment delete --role", "az identity delete --name x\naz role assignment delete --role")),
    ("deletions", "may be empty", text("README.md", "az role definition delete --name \"${role:?}\"", "az role definition delete --name \"$role\"")),
    ("deletions", "may be empty", text("client-secret.md", "--key-id \"${key_id:?}\"", "--key-id \"${key_id}\"")),
    ("tables", "parameters differs", text("README.md", "| `tags` | none", "| `labels` | none")),
    ("tables", "outputs differs", text("README.md", "`federatedSubject`", "federatedSubject")),
    ("tables", "default of allowDelete", text("README.md", "| `allowDelete` | `true`", "| `allowDelete` | `false`")),
    ("tables", "default of awsIssuer", text("README.md", "| `awsIssuer` | none, required", "| `awsIssuer` | `https://x`")),
    ("secrets_in_commands", "--append", text("client-secret.md", '--id "$app_id" --append', '--id "$app_id"')),
    ("secrets_in_commands", "is printed", text("client-secret.md", "  | tr -d '\\r\\n' \\\n  | aws", "\naws")),
    ("secrets_in_commands", "in an argument", text("client-secret.md", "file:///dev/stdin", '"$secret"')),
    ("secrets_in_commands", "the line's end", text("client-secret.md", "tr -d '\\r\\n'", "tr -d x")),
    ("secrets_in_commands", "or in quotes", text("client-secret.md", "--query password --output tsv", "--query password --output json")),
    ("secrets_in_commands", "without an end", text("client-secret.md", "--end-date 2027-05-01", "")),
    ("secrets_in_commands", "may show a secret", text("client-secret.md", "az ad app delete --id", "az login --service-principal --password x --id")),
    ("secrets_in_commands", "make a client secret", text("client-secret.md", "az ad app credential reset", "az ad app credential renew")),
    ("names", "no variable HUBKEEPER_AZURE_SECRET", text("client-secret.md", "HUBKEEPER_AZURE_CLIENT_SECRET_ID", "HUBKEEPER_AZURE_SECRET")),
    ("names", "does not know 7000223", text("client-secret.md", "`AADSTS7000222`", "`AADSTS7000223`")),
    ("names", "no NeedsHuman", source("crates/core/src/error.rs", "NeedsHuman", "NeedsPerson")),
    ("names", "does not exist", text("README.md", "](client-secret.md)", "](secret.md)")),
    ("names", "no heading", text("README.md", "## Azure Government", "## Government")),
    ("names", "no variable may be", text("client-secret.md", "HUBKEEPER_AZURE_AUTH=federated", "HUBKEEPER_AZURE_AUTH=federation")),
    ("aws_side", "has no RoleArn", aws("  RoleArn:\n", "  Role:\n")),
    ("aws_side", "has no AzureClientSecretArn", aws("  AzureClientSecretArn:\n", "  AzureSecret:\n")),
    ("aws_side", "names its role otherwise", aws("RoleName: !If [HasRoleName, !Ref RoleName, !Sub \"${AWS::StackName}-${AWS::Region}\"]", "RoleName: hubkeeper")),
]


# ----------------------------------------------------------------------------------------------------------------------- tests


class Azure(unittest.TestCase):
    """The files as they are, and every broken copy of them."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.files = Files.read()

    def test_no_check_finds_a_problem(self) -> None:
        for name, run in CHECKS.items():
            with self.subTest(name):
                self.assertEqual(run(copy.deepcopy(self.files)), [])

    def test_every_breakage_is_noticed(self) -> None:
        for number, (name, expected, change) in enumerate(BREAKAGES):
            with self.subTest(f"{number}: {name}, {expected}"):
                broken = copy.deepcopy(self.files)
                change(broken)
                self.assertNotEqual(broken, self.files, "nothing was broken")
                found = CHECKS[name](broken)
                self.assertTrue(any(expected in problem for problem in found), found)

    def test_every_check_has_a_breakage(self) -> None:
        self.assertEqual({name for name, _, _ in BREAKAGES}, set(CHECKS))

    def test_doubled_members_of_json_are_refused(self) -> None:
        with self.assertRaisesRegex(Wrong, "doubled"):
            parse('{"a": 1, "a": 2}')

    def test_the_evaluator_reads_expressions(self) -> None:
        template = {"parameters": {}, "variables": {"list": ["a", "[toLower('B''C')]"]}}
        evaluator = Evaluator(template, {}, Group())
        for expression, value in {
            "[variables('list')[1]]": "b'c",
            "[if(empty(''), 'yes', reference('x', 'y'))]": "yes",
            "[format('{0}/{1}', 'a', resourceGroup().name)]": "a/RG-Security",
            "[[not an expression]": "[[not an expression]",
            "plain": "plain",
        }.items():
            with self.subTest(expression):
                self.assertEqual(evaluator.value(expression), value)
        for expression in ("[a]", "[f('x)]", "[empty('') 'x']", "[nothing()]", "[if('', 'a', 'b')]", "[variables('list')[7]]", "[empty()]"):
            with self.subTest(expression), self.assertRaises(Wrong):
                evaluator.value(expression)

    def test_commands_are_read_out_of_documents(self) -> None:
        document = 'a\n  ```sh\n  x=$(az one --flag a b \\\n      --other "$(az two --q id)" \\\n    | tr -d \'z\')\n  # az three\n  az four \'{\n  "a": 1}\'\n  ```\n'
        found = [(command.words[:2], command.piped) for command in commands_of(document)]
        self.assertEqual(found, [(["az", "two"], False), (["az", "one"], True), (["tr", "-d"], False), (["az", "four"], False)])

    def test_rust_is_read_without_comments_and_tests(self) -> None:
        code = code_of(
            """fn a<'a>(_: &'a str) { let x = "//{\\""; let y = '"'; let z = r#"}"{"#; } // fn b() {}
            /* fn c() {} */ #[cfg(test)] fn d() -> Option<u8> { if y { '{' } }
            #[cfg(test)]
            mod tests { fn e() {} }"""
        )
        self.assertEqual(list(functions_of(code)), ["a", "d"])
        self.assertIn('"//{', functions_of(code)["a"])
        self.assertNotIn("fn d", functions_of(code)["a"])


if __name__ == "__main__":
    unittest.main()
