"""docs/operations.md names metrics that the services have, and each has an alarm in deploy/prometheus/alerts.yaml."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CODE = "".join(file.read_text() for file in sorted((ROOT / "services").rglob("*.py")))
PAGE = (ROOT / "docs" / "operations.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:evenkeel|rpc)\.[a-z.]+)`", PAGE)))
ALERTS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())["groups"][0]["rules"]

# How OpenTelemetry's collector names metrics for Prometheus: by unit, then by kind. Units in braces are not named.
UNITS = {"s": "_seconds", "us": "_microseconds", "1": "_ratio"}
# What makes an instrument, and the endings of what Prometheus then has.
ENDINGS = {
    "counter": ("_total",),
    "duration": ("_bucket", "_count", "_sum"),
    "level": ("",),
    "gauge": ("",),
    "create_observable_gauge": ("",),
}
MADE = re.compile(rf'({"|".join(ENDINGS)})\(\s*"([a-z._]+)",\s*(?:\[[\w.]+\],\s*)?"([^"]*)"')


def prometheus_names(otel_name):
    """Return the names under which Prometheus has a metric of the code."""
    ((kind, unit),) = {(kind, unit) for kind, name, unit in MADE.findall(CODE) if name == otel_name}
    unit = "_seconds" if kind == "duration" else UNITS.get(unit, "")
    return {otel_name.replace(".", "_") + unit + ending for ending in ENDINGS[kind]}


def names_in(alert):
    return set(re.findall(r"\b(?:evenkeel|rpc)_[a-z_]+(?=[{\[ )]|$)", re.sub(r"\{[^}]*\}", " ", alert["expr"])))


def test_every_metric_on_the_page_is_one_that_the_code_makes():
    assert NAMED
    assert [name for name in NAMED if f'"{name}"' not in CODE] == []


@pytest.mark.parametrize("name", NAMED)
def test_every_metric_on_the_page_has_an_alarm(name):
    assert any(prometheus_names(name) & names_in(alert) for alert in ALERTS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alarm_is_about_metrics_of_the_page_and_says_what_to_do(alert):
    known = set().union(*(prometheus_names(name) for name in NAMED))

    assert names_in(alert)
    assert names_in(alert) <= known
    assert alert["annotations"].keys() == {"summary", "action"}
    assert alert["labels"]["severity"] in ("page", "ticket")
