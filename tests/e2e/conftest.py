"""One world for the whole run. The last printed line is `N passed, N failed`."""

import contextlib
import json
import os
from pathlib import Path

import pytest
from harness import Emulator, World
from programs import Sandbox


@contextlib.contextmanager
def served(folder):
    """A world without a stack. At its end no log may hold a secret, including what no test has checked."""
    emulator = Emulator(folder)
    try:
        sandbox = Sandbox(folder)
        try:
            world = World(emulator, sandbox, Path(os.environ["HUBKEEPER_PACKAGE"]))
            yield world
            # the log is deleted with the stack
            with contextlib.suppress(world.logs.exceptions.ResourceNotFoundException):
                world.no_secret_in(*(json.dumps(line) for line in world.log_lines()))
            world.no_secret_in(emulator.log.read_text())
        finally:
            sandbox.stop()
    finally:
        emulator.stop()


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    with served(tmp_path_factory.mktemp("e2e")) as world:
        world.install()
        yield world


@pytest.fixture(scope="module")
def empty_world(tmp_path_factory):
    """A world of its own, in which nothing is deployed."""
    with served(tmp_path_factory.mktemp("empty")) as world:
        yield world


def pytest_terminal_summary(terminalreporter):
    stats = terminalreporter.stats
    passed = len(stats.get("passed", []))
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    terminalreporter.config.e2e_line = f"{passed} passed, {failed} failed"


def pytest_unconfigure(config):
    if hasattr(config, "e2e_line"):
        print(config.e2e_line)
