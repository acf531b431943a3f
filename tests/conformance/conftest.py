"""The fixtures of the comparison. The last printed line is `N passed, N failed`; before it, what was compared and skipped."""

import os
from collections import Counter

import pytest
from harness import NO_SPECS, Function, Moto, Sandbox

COUNTS = {}
MAY_LEAVE_OUT = os.environ.get("CI") != "true"


@pytest.fixture(scope="session")
def count():
    """Records how much a test compared, for the summary."""
    return COUNTS.__setitem__


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("conformance")


@pytest.fixture
def stopping():
    """Stops what a test started, in reverse order."""
    started = []
    yield lambda program: started.append(program) or program
    for program in reversed(started):
        program.stop()


@pytest.fixture(scope="module")
def sandbox(folder):
    sandbox = Sandbox(folder)
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def function(sandbox, folder):
    function = Function(sandbox, folder)
    yield function
    function.stop()


@pytest.fixture(scope="module")
def moto(folder):
    moto = Moto(folder)
    yield moto
    moto.stop()


def failing(skipped):
    """The skipped tests that count as failed: in CI, each that does not lack the specifications, which the repository does not have."""
    return [] if MAY_LEAVE_OUT else [report for report in skipped if NO_SPECS not in report.longrepr[2]]


def pytest_terminal_summary(terminalreporter):
    stats = terminalreporter.stats
    for what, number in COUNTS.items():
        terminalreporter.write_line(f"conformance: {number} {what}")
    skipped = stats.get("skipped", [])
    for reason, number in Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped).items():
        terminalreporter.write_line(f"*** conformance LEFT OUT: {number} tests, since {reason} ***")
    passed = len(stats.get("passed", []))
    failed = len(stats.get("failed", [])) + len(stats.get("error", [])) + len(failing(skipped))
    terminalreporter.config.conformance_line = f"{passed} passed, {failed} failed"


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if failing(reporter.stats.get("skipped", [])):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config):
    if hasattr(config, "conformance_line"):
        print(config.conformance_line)
