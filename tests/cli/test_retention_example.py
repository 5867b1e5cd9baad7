"""The retention classes that the documentation shows can be proposed as they are."""

from pathlib import Path

import protovalidate
import yaml
from google.protobuf.json_format import ParseDict

from evenkeel.audit.v1.records_service_pb2 import RetentionClass
from services.audit.api.records import _class_of

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "records" / "retention-classes.yaml"


def test_each_class_of_the_example_is_valid():
    classes = [ParseDict(each, RetentionClass()) for each in yaml.safe_load(EXAMPLE.read_text())]

    for each in classes:
        protovalidate.validate(each)
        assert _class_of(each).class_id == each.class_id
    assert len(classes) == 4
