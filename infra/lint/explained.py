"""Checks that the template explains each finding of checkov, and that each explanation belongs to a finding.

Usage: explained.py <template> <findings with the template's skips> <findings without them>
"""

import json
import re
import sys
from pathlib import Path


def explanations(template):
    """(resource, check) -> reason"""
    found = {}
    resource = None
    lines = template.splitlines()
    for at, line in enumerate(lines):
        if match := re.fullmatch(r"  ([A-Za-z0-9]+):", line):
            resource = match.group(1)
        if match := re.fullmatch(r" +- id: (CKV\w+)", line):
            reason = re.fullmatch(r" +comment: (.+)", lines[at + 1]) if at + 1 < len(lines) else None
            found[resource, match.group(1)] = reason.group(1) if reason else ""
    return found


def findings(report):
    """Returns (resource, check) of the failed checks, and the number of passed ones."""
    results = json.loads(report)
    failed = results.get("results", {}).get("failed_checks", [])
    return {(check["resource"].rsplit(".", 1)[-1], check["check_id"]) for check in failed}, results["summary"]["passed"]


def problems(template, with_skips, without_skips):
    explained = explanations(template)
    left, passed = findings(with_skips)
    all_found, _ = findings(without_skips)
    if passed == 0:
        yield "checkov has looked at nothing"
    for resource, check in sorted(left):
        yield f"{check} on {resource} is not explained"
    for resource, check in sorted(set(explained) - all_found):
        yield f"{check} on {resource} is explained, and is no finding"
    for (resource, check), reason in sorted(explained.items()):
        if len(reason) < 30:
            yield f"{check} on {resource} has no reason"


if __name__ == "__main__":
    texts = [Path(name).read_text() for name in sys.argv[1:]]
    found = list(problems(*texts))
    for problem in found:
        print(f"checkov: {problem}")
    if not found:
        print(f"checkov: {findings(texts[1])[1]} checks passed, {len(explanations(texts[0]))} findings explained in the template")
    sys.exit(bool(found))
