"""`make audit`: whether an advisory is known of anything that a lock names.

pip-audit asks PyPI, or whatever stands in its place, or else OSV. Its "no known vulnerabilities" is worth
nothing where there are no advisories, and mirrors often have none. So this is found out first, by a package
of which one is known: where nobody knows it, nothing is audited, and that is said; only with `--demand` it
fails. A finding always fails.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import msgspec

ROOT: Final = Path(__file__).parents[2]

LOCKS: Final = ("requirements.lock", "deploy/build.lock", "tests/k8s/tools.lock")
"""All that is ever installed; the other locks are parts of the first."""

Service = tuple[str, ...]
"""Whom pip-audit is to ask, in its own options; the last one is the name."""

PYPI: Final[Service] = ("--vulnerability-service", "pypi")
OSV: Final[Service] = ("--vulnerability-service", "osv")

KNOWN: Final = "jinja2==2.10"
"""Has had advisories since 2019: who knows of none for it knows of none at all. It is not installed."""

ACCEPTED: Final[dict[str, str]] = {}
"""Advisories that do not concern us, by id, each with the reason."""


QUIETLY: Final = ("--disable-pip", "--progress-spinner", "off")
"""Nothing is resolved: a lock is complete."""


class Advisory(msgspec.Struct, frozen=True):
    """One that is known of a package."""

    id: str
    fix_versions: list[str]


class Package(msgspec.Struct, frozen=True):
    """What is known of a package; one that was skipped has the reason instead."""

    name: str
    version: str = ""
    vulns: list[Advisory] = []
    skip_reason: str | None = None


class Report(msgspec.Struct, frozen=True):
    """What pip-audit writes."""

    dependencies: list[Package]


class NoAnswerError(Exception):
    """Nobody could be asked."""


class Verdict(NamedTuple):
    """What an audit comes to."""

    findings: list[str]
    unknown: list[str]
    """Of which nothing is known, neither good nor bad."""


def main() -> None:
    """Audit all locks; exit status 1 for a finding."""
    parser = argparse.ArgumentParser(prog="python -m deploy.supply_chain.audit", description=__doc__)
    parser.add_argument("--demand", action="store_true", help="fail where no advisories can be had")
    parser.add_argument("--osv-url", help="an OSV of your own, which is asked alone")
    asked = parser.parse_args()
    reasons = {service: why_not(service) for service in services_of(asked.osv_url)}
    services = [service for service, why in reasons.items() if why is None]
    if not services:
        for service, why in reasons.items():
            print(f"audit: {service[-1]}: {why}", file=sys.stderr)
        print("audit: NOTHING WAS AUDITED: no advisories are to be had here", file=sys.stderr)
        sys.exit(1 if asked.demand else 0)
    found = False
    for lock in LOCKS:
        verdict = judge(ask(services[0], ROOT / lock), ACCEPTED)
        for line in verdict.findings:
            print(f"audit: {lock}: {line}", file=sys.stderr)
        for name in verdict.unknown:
            print(f"audit: {lock}: nothing could be learnt of {name}", file=sys.stderr)
        found = found or bool(verdict.findings) or (asked.demand and bool(verdict.unknown))
        print(f"audit: {lock}: {len(verdict.findings)} findings")
    sys.exit(1 if found else 0)


def services_of(osv_url: str | None) -> list[Service]:
    """List who may be asked: the first that knows of any advisory is."""
    return [("--osv-url", osv_url, *OSV)] if osv_url else [PYPI, OSV]


def why_not(service: Service) -> str | None:
    """Find out whether a service has advisories; returns why not, or None."""
    with TemporaryDirectory() as folder:
        requirements = Path(folder) / "known.txt"
        requirements.write_text(f"{KNOWN}\n")
        try:
            verdict = judge(ask(service, requirements, "--no-deps"), {})
        except NoAnswerError as error:
            return str(error)
    return None if verdict.findings else f"no advisory is known there for {KNOWN}, so none at all"


def ask(service: Service, requirements: Path, *options: str) -> Report:
    """Have pip-audit ask about a file of exact versions; `NoAnswerError` if it got no answer."""
    options = options or ("--require-hashes",)
    command = [sys.executable, "-m", "pip_audit", *service, *QUIETLY, *options]
    done = subprocess.run(
        [*command, "--format", "json", "--requirement", str(requirements)],
        check=False,
        capture_output=True,
        text=True,
    )
    try:
        return msgspec.json.decode(done.stdout, type=Report)
    except msgspec.DecodeError:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise NoAnswerError(said[-1]) from None


def judge(report: Report, accepted: Iterable[str]) -> Verdict:
    """Decide what a report comes to, without the advisories that are accepted."""
    findings = [
        f"{package.name} {package.version}: {one.id}, mended in {', '.join(one.fix_versions) or 'none yet'}"
        for package in report.dependencies
        for one in package.vulns
        if one.id not in set(accepted)
    ]
    return Verdict(findings, [package.name for package in report.dependencies if package.skip_reason])


if __name__ == "__main__":
    main()
