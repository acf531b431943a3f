"""A stand-in of the Azure CLI: `az` on a PATH, whose commands change the sandbox's Azure. It knows what `hubkeeper deploy` calls."""

import json
import shutil
import socketserver
import sys
import tempfile
import threading
from pathlib import Path

import jmespath

LOCATION = "westeurope"
AZ = """#!{python} -ISE
import json, socket, sys
with socket.socket(socket.AF_UNIX) as to:
    to.connect({address!r})
    to.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    response = json.loads(b"".join(iter(lambda: to.recv(65536), b"")))
sys.stdout.write(response["out"])
sys.stderr.write(response["err"])
sys.exit(response["code"])
"""


class Failed(Exception):
    """What az says on standard error before it ends with exit code 1, or another."""


class AzureCli:
    """The Azure CLI of a person who is logged in to the sandbox's subscription."""

    def __init__(self, sandbox):
        self.sandbox, self.calls, self.trusted, self.outputs = sandbox, [], None, {}
        # a short path: that of a socket has at most about a hundred bytes
        self.bin = Path(tempfile.mkdtemp(prefix="az"))
        address = str(self.bin / "socket")
        script = self.bin / "az"
        script.write_text(AZ.format(python=sys.executable, address=address))
        script.chmod(0o755)
        cli = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(json.dumps(cli.run(json.loads(self.rfile.readline()))).encode())

        self.server = socketserver.ThreadingUnixStreamServer(address, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.bin)

    def run(self, arguments):
        self.calls.append(arguments)
        words, options = [], {}
        for argument in arguments:
            if argument.startswith("-"):
                options[name := argument.lstrip("-")] = []
            elif options:
                options[name].append(argument)
            else:
                words.append(argument)
        one = {name: values[0] if values else True for name, values in options.items()}
        try:
            command = getattr(self, "_".join(words).replace("-", "_"), None)
            if command is None:
                raise Failed(f"az: nobody expects {' '.join(arguments)}")
            found = command(one, options)
        except Failed as failure:
            return {"out": "", "err": f"ERROR: {failure}\n", "code": 1}
        return {"out": self.shown(found, one), "err": "", "code": 0}

    @staticmethod
    def shown(found, one):
        found = jmespath.search(one["query"], found) if "query" in one else found
        kind = one.get("output", one.get("o", "json"))
        if kind == "none" or found is None:
            return ""
        if kind == "tsv":
            cells = found if isinstance(found, list) else [found]
            return "\t".join(str(cell) for cell in cells) + "\n"
        return json.dumps(found, indent=2) + "\n"

    # --- the commands

    def account_show(self, _one, _options):
        return {
            "name": "Security", "id": self.sandbox.scene["subscription"], "tenantId": self.sandbox.environment["AZURE_TENANT_ID"],
            "state": "Enabled", "user": {"name": "administrator@acme.example", "type": "user"},
        }

    def cloud_show(self, _one, _options):
        return {"name": "AzureCloud", "isActive": True}

    def group_show(self, one, _options):
        group = one.get("name", one.get("n"))
        if group != self.sandbox.scene["group"]:
            raise Failed(f"(ResourceGroupNotFound) Resource group '{group}' could not be found.")
        return {"name": group, "location": LOCATION}

    def provider_show(self, _one, _options):
        return {"namespace": "Microsoft.Security", "registrationState": "Registered"}

    def identity_federated_credential_show(self, _one, _options):
        if self.trusted is None:
            raise Failed("(ResourceNotFound) The Resource was not found.")
        return {"name": "hubkeeper", "issuer": self.trusted["awsIssuer"], "subject": self.trusted["awsRoleArn"]}

    def deployment(self, one, options):
        """What a deployment of infra/azure would do with these parameters."""
        self.group_show({"name": one.get("resource-group", one.get("g"))}, {})
        template = json.loads(Path(one.get("template-file", one.get("f"))).read_text())
        given = dict(value.split("=", 1) for value in options.get("parameters", options.get("p", [])))
        if unknown := given.keys() - template["parameters"].keys():
            raise Failed(f"(InvalidTemplate) The following parameters were supplied, but do not correspond to any parameters: {unknown}")
        return template, given

    def deployment_group_what_if(self, one, options):
        template, given = self.deployment(one, options)
        change = "NoChange" if self.trusted == given else "Create"
        changes = [{"changeType": change, "resourceId": resource["name"]} for resource in template["resources"]]
        return {"status": "Succeeded", "changes": changes}

    def deployment_group_create(self, one, options):
        template, given = self.deployment(one, options)
        self.trusted = given
        self.sandbox("role", issuer=given["awsIssuer"], roleArn=given["awsRoleArn"])
        found = {
            "tenantId": self.sandbox.environment["AZURE_TENANT_ID"], "clientId": self.sandbox.environment["AZURE_CLIENT_ID"],
            "principalId": "00000000-0000-4000-8000-000000000005", "federatedIssuer": given["awsIssuer"],
            "federatedSubject": given["awsRoleArn"], "federatedAudience": given.get("audience", "api://AzureADTokenExchange"),
        }
        self.outputs = {name: {"type": "String", "value": found.get(name, "")} for name in template["outputs"]}
        return self.deployment_group_show(one, options)

    def deployment_group_show(self, one, _options):
        return {"name": one.get("name", one.get("n")), "properties": {"provisioningState": "Succeeded", "outputs": self.outputs}}
