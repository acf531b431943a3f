"""People with rights of their own who run the command line, and Secrets Manager, which takes the steps of a rotation that they start."""

import json
import os
import re
import subprocess
import threading
import uuid
from dataclasses import dataclass

from harness import REGION, ROOT
from programs import KEEP, NO_PROXY, eventually


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def report(self):
        assert self.code == 0, self
        return json.loads(self.out)


class Person:
    """An IAM user with its own access key, in front of a terminal that answers no questions."""

    def __init__(self, world, folder):
        self.world, self.folder, self.name = world, folder, f"person-{uuid.uuid4()}"
        world.iam.create_user(UserName=self.name)
        self.key = world.iam.create_access_key(UserName=self.name)["AccessKey"]
        # what a login at Azure adds to the environment
        self.azure = {}
        world.known.append(self.key["SecretAccessKey"])

    def allow(self, document):
        """The person's only policy."""
        self.world.iam.put_user_policy(UserName=self.name, PolicyName="rights", PolicyDocument=json.dumps(document))
        return self

    def run(self, *arguments, token=None, program=None, path=None):
        """Runs `hubkeeper`, or another copy of it, with the PATH of the tests or another."""
        sandbox = self.world.sandbox.environment
        environment = {
            "HOME": str(self.folder), "AWS_ENDPOINT_URL": self.world.emulator.url, "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": self.key["SecretAccessKey"],
            "AWS_EC2_METADATA_DISABLED": "true",
            # where the token is proven on this machine
            **{name: sandbox[name] for name in ("HUBKEEPER_HUB_URL", "HUBKEEPER_HUB_AUTH_URL", "HUBKEEPER_REGISTRY_URL", "HUBKEEPER_CA_BUNDLE")},
            **({"PATH": path} if path else {}),
            **self.azure,
        }
        done = subprocess.run(
            [program or os.environ["HUBKEEPER_CLI"], *arguments], env=KEEP | NO_PROXY | environment, cwd=self.folder, input=token or "",
            capture_output=True, text=True, timeout=180, check=False,
        )
        self.world.no_secret_in(done.stdout, done.stderr, " ".join(arguments))
        return Ended(done.returncode, done.stdout, done.stderr)


class Administrator(Person):
    """A person with the rights that the pages name for deploying, for the commands, and for `doctor`. The emulator asks for no more: it
    creates what a template contains with rights of its own."""

    def __init__(self, world, folder, program=None, path=None):
        super().__init__(world, folder)
        self.program, self.path = program, path
        self.allow({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": self.rights(), "Resource": "*"}]})

    @staticmethod
    def rights():
        deploy, doctor = ((ROOT / "docs" / page).read_text() for page in ("deploy.md", "doctor.md"))
        found = [deploy.split("\n## Rights of a person\n")[1].split("\n## ")[0], doctor.split("\n## Rights\n")[1].split("\n## ")[0]]
        actions = sorted(set(re.findall(r"`([a-z0-9]+:[A-Z][A-Za-z]+)`", "".join(found))))
        assert {"cloudformation:ExecuteChangeSet", "secretsmanager:CreateSecret", "lambda:InvokeFunction"} <= set(actions), actions
        return actions

    def hubkeeper(self, *arguments):
        """Runs the command line. Returns its JSON."""
        return self.run(*arguments, "--output", "json", program=self.program, path=self.path).report()


class Steps(threading.Thread):
    """Makes the four calls as soon as a rotation is in progress, as Secrets Manager does."""

    def __init__(self, world, acme):
        super().__init__(daemon=True)
        self.world, self.acme, self.failure = world, acme, None
        self.start()

    def pending(self):
        """The version of the rotation. The label may still be on the version of the last one, which is AWSCURRENT."""
        labels = self.world.labels(self.acme)
        return labels.get("AWSPENDING") if labels.get("AWSPENDING") != labels["AWSCURRENT"] else None

    def run(self):
        try:
            version = eventually("a rotation has started", self.pending)
            for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
                self.world.step(self.acme, version, step).ok()
        except BaseException as failure:  # noqa: BLE001 told by the test, in its own thread
            self.failure = failure
