"""Starts servers and the sandbox for the Python tests, on the loopback interface and on ports from the kernel."""

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

# the environment variables that a started program inherits
KEEP = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
NO_PROXY = {"NO_PROXY": "127.0.0.1,localhost"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def eventually(what, look, seconds=60):
    """Returns the first truthy result of ``look``; fails with ``what`` after this many seconds."""
    end = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def answers(url, *statuses):
    """Whether a server responds with one of these statuses."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status in statuses
    except urllib.error.HTTPError as error:
        return error.code in statuses
    except (urllib.error.URLError, OSError):
        return False


def end(process):
    """Waits for a process that was asked to exit, and kills it if it does not."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    process.wait()


class Program:
    """A server that runs until it is stopped. Its output is kept."""

    def __init__(self, command, environment, folder):
        self.log = Path(tempfile.mkdtemp(dir=folder)) / "log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command], env=KEEP | NO_PROXY | environment, cwd=self.log.parent,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )

    def up(self, url, *statuses):
        """Waits until it responds."""

        def look():
            assert self.process.poll() is None, f"{self.process.args[0]} ended:\n{self.log.read_text()[-3000:]}"
            return answers(url, *statuses)

        eventually(f"{self.process.args[0]} answers", look)
        return self

    def stop(self):
        self.process.terminate()
        end(self.process)


class Sandbox:
    """Every service of the sandbox (crates/sandbox/src/bin/serve_sandbox.rs): one process, controlled by lines of JSON."""

    def __init__(self, folder, environment=None):
        self.authority = Path(tempfile.mkdtemp(dir=folder)) / "authority.pem"
        self.process = subprocess.Popen(
            [os.environ["HUBKEEPER_SANDBOX"], str(self.authority)], env=KEEP | (environment or {}),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )
        ready = json.loads(self.process.stdout.readline())
        assert ready["ready"] is True
        self.environment, self.scene, self.certificate = ready["environment"], ready["scene"], ready["tokenCertificate"]

    def __call__(self, do, **members):
        self.process.stdin.write(json.dumps({"do": do, **members}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert answer.pop("ok") is True, f"{do}: {answer}"
        return answer

    def stop(self):
        self.process.stdin.close()
        end(self.process)
