"""The schemas for editors accept what the command line reads, and say where it would not."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from evenkeel.policy.v1.policy_document_pb2 import PolicyDocument
from evenkeel.policy.v1.rollout_pb2 import RolloutPlan
from services.kernel.errors import Invalid
from tools.cli.documents import document_to_yaml, message_from_yaml
from tools.cli.policy import SCHEMAS

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted([*ROOT.glob("docs/examples/*.yaml"), *ROOT.glob("tools/demo/policies/*.yaml")])
KINDS = {"rollout": RolloutPlan, "document": PolicyDocument}


def kind_of(path):
    return "rollout" if path.stem.startswith("rollout") else "document"


def validator(kind):
    schema = json.loads((SCHEMAS / f"{kind}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_each_example_is_read_as_the_schema_says_and_comes_back(path):
    text = path.read_text()
    kind = kind_of(path)
    message = message_from_yaml(text, KINDS[kind]())

    # Dates stay texts, as an editor's YAML leaves them.
    loader = type(
        "Loader", (yaml.SafeLoader,), {"yaml_implicit_resolvers": dict(yaml.SafeLoader.yaml_implicit_resolvers)}
    )
    for first, found in loader.yaml_implicit_resolvers.items():
        loader.yaml_implicit_resolvers[first] = [each for each in found if each[0] != "tag:yaml.org,2002:timestamp"]
    assert list(validator(kind).iter_errors(yaml.load(text, Loader=loader))) == []
    assert message_from_yaml(document_to_yaml(message), KINDS[kind]()) == message
    assert text.lstrip().startswith("#")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("document", "targets: {cash_weigth: 0.1}"),
        ("document", "bands: {minimum_trade: 100}"),
        ("document", "tax: {harvest_losses: maybe}"),
        ("document", "restrictions: {items: [{instrument_id: A, kind: KIND_MAYBE, reason: r}]}"),
        ("rollout", "share: 10"),
        ("rollout", "stop_rules: [{metric: METRIC_LUCK, bound_bps: 1, window: 2}]"),
    ],
)
def test_what_cannot_be_read_is_marked_by_the_schema_too(kind, text):
    with pytest.raises(Invalid):
        message_from_yaml(text, KINDS[kind]())
    assert list(validator(kind).iter_errors(yaml.safe_load(text))) != []
