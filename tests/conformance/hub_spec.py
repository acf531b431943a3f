"""Docker's OpenAPI document of the Docker Hub API, with corrections.

Each correction is a function that gives the reason. A correction that a later document no longer needs raises an error, so that none
stays unnoticed.
"""

import json

import yaml
from harness import spec
from openapi_core import Config, OpenAPI

def load():
    """The corrected document, validated as OpenAPI 3.0, with unknown fields forbidden."""
    document = corrected(yaml.safe_load(spec("docker-hub.openapi.yaml").read_text()))
    merge_all_of(document, document)
    return OpenAPI.from_dict(document, config=Config(additional_properties_default_policy="forbid"))


def corrected(document):
    # YAML reads numbers and times: unquoted statuses are not strings, and neither are examples of times
    document = json.loads(json.dumps(document, default=lambda time: time.isoformat()))
    for fault in FAULTS:
        assert fault(document), f"the document does not have this fault any more: {fault.__doc__}"
    return document


def walk(node):
    """Every object in the document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def resolved(document, node):
    while "$ref" in node:
        place = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        node = place
    return node


def merge_all_of(document, node):
    """Writes each `allOf` of objects out as one object: unknown fields cannot be forbidden in its parts."""
    if isinstance(node, list):
        for child in node:
            merge_all_of(document, child)
    elif isinstance(node, dict):
        parts = [resolved(document, part) for part in node.pop("allOf", [])]
        for part in parts:
            merge_all_of(document, part)
            node.setdefault("properties", {}).update(part.get("properties", {}))
        if parts:
            node["type"] = "object"
        for child in node.values():
            merge_all_of(document, child)


# --- faults in the document's form


def bearer_auth(document):
    """`BearerAuth` is used where `bearerAuth` is defined."""
    found = [node for node in walk(document["paths"]) if node.get("BearerAuth") == []]
    for node in found:
        node["bearerAuth"] = node.pop("BearerAuth")
    return found


def required_in_properties(document):
    """`required: true` is inside property schemas, where OpenAPI has a list of names."""
    found = [node for node in walk(document["components"]["schemas"]) if node.get("required") is True]
    for node in found:
        del node["required"]
    return found


def team_repo(document):
    """A reference to `#/components/responses/team_repo`, which does not exist."""
    return document["components"]["schemas"]["team_repo"].pop("allOf", None)


def organization_name(document):
    """`{name}` in a path has no parameter of that name."""
    paths = document["paths"]
    found = "parameters" not in paths["/v2/orgs/{name}/access-tokens"]
    paths["/v2/orgs/{name}/access-tokens"]["parameters"] = [
        {"in": "path", "name": "name", "required": True, "schema": {"type": "string"}},
    ]
    return found


def response_without_description(document):
    """A response has no `description`, which OpenAPI requires."""
    found = [
        response
        for path in document["paths"].values()
        for operation in path.values() if isinstance(operation, dict)
        for response in operation.get("responses", {}).values() if not {"description", "$ref"} & response.keys()
    ]
    for response in found:
        response["description"] = ""
    return found


def members_page(document):
    """The 200 of an organization's members is typed as an array of pages; the service returns one page."""
    schema = document["paths"]["/v2/orgs/{org_name}/members"]["get"]["responses"]["200"]["content"]["application/json"]
    found = schema["schema"].get("type") == "array"
    schema["schema"] = schema["schema"].get("items", schema["schema"])
    return found


# --- faults in the document's content; the service's responses differ


def personal_tokens(document):
    return [operation for path, operations in document["paths"].items() if path.startswith("/v2/access-tokens") for operation in
            operations.values() if isinstance(operation, dict)]


def nulls(document):
    """Fields that are null in the service's responses (some in the document's own examples) without being nullable."""
    schemas = document["components"]["schemas"]
    members = [
        # a token that never expires; nullable in Docker's later page
        schemas["accessToken"]["properties"]["expires_at"],
        # the first and the last page of a list: the example says null
        schemas["getAccessTokensResponse"]["properties"]["next"],
        schemas["getAccessTokensResponse"]["properties"]["previous"],
        # a repository without a description: the same field is nullable in the list
        schemas["repository_info"]["properties"]["description"],
        # an image without a variant, for a system without versions
        schemas["image"]["properties"]["variant"],
        schemas["image"]["properties"]["os_version"],
    ]
    found = all(not member.get("nullable") for member in members)
    for member in members:
        member["nullable"] = True
    return found


def tag_images(document):
    """A tag's `images` is typed as one image; the service returns a list."""
    properties = document["components"]["schemas"]["tag"]["properties"]
    found = properties["images"].get("type") == "object"
    properties["images"] = {"type": "array", "items": {"$ref": "#/components/schemas/image"}}
    return found


def tag_version(document):
    """A tag's `v2` is typed as a string; the service returns true."""
    properties = document["components"]["schemas"]["tag"]["properties"]
    found = properties["v2"]["type"] == "string"
    properties["v2"] = {"type": "boolean"}
    return found


def tag_members(document):
    """The service's responses have fields of a tag that the document does not name; `status` is called `tag_status`."""
    properties = document["components"]["schemas"]["tag"]["properties"]
    found = properties.pop("status", None)
    properties["tag_status"] = found
    for name in ("media_type", "content_type", "digest"):
        found = found and name not in properties
        properties[name] = {"type": "string"}
    return found


def errors_with_information(document):
    """`Error` has no `errinfo`, which the service's errors have; Docker's later page has `error` instead."""
    schemas = document["components"]["schemas"]
    found = "errinfo" not in schemas["Error"]["properties"]
    for name in ("Error", "error"):
        # null or an object with any content
        schemas[name]["properties"]["errinfo"] = {"type": "object", "additionalProperties": True, "nullable": True}
    return found


def fields_of_a_refusal(document):
    """`fields` of `ValueError` is an object with a list's `items`; the service returns a list of strings for each invalid field."""
    properties = document["components"]["schemas"]["ValueError"]["properties"]
    found = "items" in properties["fields"]
    properties["fields"] = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
    return found


def tokens_forbidden(document):
    """403 is not listed where a token's bearer asks for tokens; the service returns it (docker/hub-feedback 2478)."""
    operations = [operation for operation in personal_tokens(document) if "responses" in operation]
    found = all("403" not in operation["responses"] for operation in operations)
    for operation in operations:
        operation["responses"]["403"] = {"$ref": "#/components/responses/forbidden"}
    return found


def token_deleted(document):
    """The deletion of a token returns 204; 202 was observed (hub-tool)."""
    responses = document["paths"]["/v2/access-tokens/{uuid}"]["delete"]["responses"]
    found = "202" not in responses
    responses["202"] = {"description": "Accepted."}
    return found


def roles(document):
    """The enumeration of a member's role lacks Editor, which the same document accepts; custom roles have their own names."""
    role = document["components"]["schemas"]["org_member"]["properties"]["role"]
    return role.pop("enum", None)


def ends_of_lists(document):
    """`next` and `previous` of the members of an organization and of a team are null at the ends, as the second one's example says."""
    page = document["components"]["schemas"]["org_member_paginated"]["properties"]
    team = document["paths"]["/v2/orgs/{org_name}/groups/{group_name}/members"]["get"]["responses"]["200"]["content"]
    members = [of[name] for of in (page, team["application/json"]["schema"]["properties"]) for name in ("next", "previous")]
    found = all(not member.get("nullable") for member in members)
    for member in members:
        member["nullable"] = True
    return found


def invitations_refused(document):
    """For rejected invitations only 400 and 409 are listed; the text says that an owner must ask, and the rest is not documented."""
    responses = document["paths"]["/v2/invites/bulk"]["post"]["responses"]
    found = not {"401", "402", "403", "404"} & responses.keys()
    for status in ("401", "402", "403", "404"):
        responses[status] = {"$ref": "#/components/responses/forbidden"}
    return found


def invitees_alone(document):
    """The response to a bulk invitation wraps its list in an object; Docker's own client decodes a bare list (terraform-provider-docker)."""
    answer = document["paths"]["/v2/invites/bulk"]["post"]["responses"]["202"]["content"]["application/json"]["schema"]["properties"]
    found = "$ref" in answer["invitees"]
    answer["invitees"] = {"anyOf": [answer["invitees"], document["components"]["schemas"]["bulk_invite"]["properties"]["invitees"]]}
    return found


def rate_limits(document):
    """429 is explained in the document's text, but listed for the audit logs only. Its body is not documented."""
    found = False
    for path in document["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict) and "429" not in operation.get("responses", {"429": None}):
                found = True
                anything = {"type": "object", "additionalProperties": True}
                content = {"application/json": {"schema": anything}, "text/plain": {"schema": {"type": "string"}}}
                operation["responses"]["429"] = {"description": "Too many requests.", "content": content}
    return found


FAULTS = [
    bearer_auth, required_in_properties, team_repo, organization_name, response_without_description, members_page,
    nulls, tag_images, tag_version, tag_members, errors_with_information, fields_of_a_refusal,
    tokens_forbidden, token_deleted, roles, ends_of_lists, invitations_refused, invitees_alone, rate_limits,
]
