"""One world for the whole run. The last printed line is `N passed, N failed`."""

import json
import os
from pathlib import Path

import pytest
from harness import Emulator, World
from programs import Sandbox


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("e2e")
    package = Path(os.environ["HUBKEEPER_PACKAGE"])
    emulator = Emulator(folder)
    try:
        sandbox = Sandbox(folder)
        try:
            world = World(emulator, sandbox, package)
            world.install()
            yield world
            # the whole log, including what no test before this has checked
            world.no_secret_in(*(json.dumps(line) for line in world.log_lines()), emulator.log.read_text())
        finally:
            sandbox.stop()
    finally:
        emulator.stop()


def pytest_terminal_summary(terminalreporter):
    stats = terminalreporter.stats
    passed = len(stats.get("passed", []))
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    terminalreporter.config.e2e_line = f"{passed} passed, {failed} failed"


def pytest_unconfigure(config):
    if hasattr(config, "e2e_line"):
        print(config.e2e_line)
