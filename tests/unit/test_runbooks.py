"""Whoever is called at night finds a page: every alert has its runbook, and every runbook is in the list."""

import re
from pathlib import Path

import yaml

from ringfence.watchdog import alarms
from ringfence.wire import alerts
from ringfence_operator import upgrading

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = ROOT / "config" / "prometheus" / "ringfence-rules.yaml"
POSTED = {
    *(alerts.ENGAGED, alerts.NOT_ACKNOWLEDGED, alerts.NOT_CANCELED, alerts.NOT_FLAT, alerts.POSITION_UNPROTECTED),
    alerts.ACCOUNT_UNEXPLAINED,
    *(upgrading.FAILED, upgrading.NOT_BACK),
    *(alarms.CANCELLED, alarms.UNREACHABLE, alarms.DIFFERS, alarms.BLIND),
}


def rules() -> dict[str, dict[str, str]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"].removeprefix(alerts.PREFIX): rule["annotations"] for g in groups for rule in g["rules"]}


def test_every_alert_has_its_page() -> None:
    """Whether a program of ours posts it or Prometheus finds it."""
    pages = {path.stem for path in RUNBOOKS.glob("[A-Z]*.md")} - {"README"}
    assert pages == POSTED | set(rules())


def test_the_list_names_every_page() -> None:
    text = (RUNBOOKS / "README.md").read_text()
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", text))
    assert linked == {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}


def test_a_rule_names_its_own_page() -> None:
    for name, annotations in rules().items():
        assert annotations["runbook"] == f"{alerts.RUNBOOKS}/{name}.md"


def test_links_lead_somewhere() -> None:
    """Within the repository."""
    for page in RUNBOOKS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).is_file(), f"{page.name} links {target}"
