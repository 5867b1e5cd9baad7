"""Each house rule for contracts is shown a contract that keeps it and one that breaks it."""

from pathlib import Path

import pytest

from tools.checks import contracts, protos

GOOD = """
syntax = "proto3";

package evenkeel.sample.v1;

import "buf/validate/validate.proto";
import "evenkeel/common/v1/permission.proto";
import "google/longrunning/operations.proto";
import "google/type/decimal.proto";

service SampleService {
  rpc GetSample(GetSampleRequest) returns (GetSampleResponse) {
    option (evenkeel.common.v1.permission) = "sample.read";
  }
  rpc ListSamples(ListSamplesRequest) returns (ListSamplesResponse) {
    option (evenkeel.common.v1.permission) = "sample.read";
  }
  rpc StartSampling(StartSamplingRequest) returns (google.longrunning.Operation) {
    option (evenkeel.common.v1.permission) = "sample.write";
  }
  rpc IngestSamples(stream IngestSamplesRequest) returns (IngestSamplesResponse) {
    option (evenkeel.common.v1.permission) = "sample.write";
  }
}

message GetSampleRequest {}
message GetSampleResponse {
  enum Kind {
    KIND_UNSPECIFIED = 0;
    KIND_ROUND = 1;
  }
  Kind kind = 1;
  google.type.Decimal weight = 2;
}
message ListSamplesRequest {
  int32 page_size = 1;
  string page_token = 2;
}
message ListSamplesResponse {
  string next_page_token = 1;
}
message StartSamplingRequest {
  string request_id = 1 [(buf.validate.field).string.uuid = true];
}
message IngestSamplesRequest {
  message Opening {
    string request_id = 1 [(buf.validate.field).string.uuid = true];
  }
  oneof part {
    Opening opening = 1;
    bytes rows = 2;
  }
}
message IngestSamplesResponse {}
"""

BROKEN = {
    "an RPC without a permission": (
        'option (evenkeel.common.v1.permission) = "sample.read";',
        "",
        "SampleService.GetSample declares no permission",
    ),
    "a request shared by two RPCs": (
        "rpc GetSample(GetSampleRequest)",
        "rpc GetSample(StartSamplingRequest)",
        "SampleService.GetSample takes evenkeel.sample.v1.StartSamplingRequest",
    ),
    "a response that belongs to another RPC": (
        "returns (IngestSamplesResponse)",
        "returns (GetSampleResponse)",
        "SampleService.IngestSamples returns evenkeel.sample.v1.GetSampleResponse",
    ),
    "a change without a request id": (
        "message StartSamplingRequest {\n  string request_id",
        "message StartSamplingRequest {\n  string key",
        "SampleService.StartSampling changes something",
    ),
    "a change whose request id may be any text": (
        "message StartSamplingRequest {\n  string request_id = 1 [(buf.validate.field).string.uuid = true];",
        "message StartSamplingRequest {\n  string request_id = 1;",
        "StartSamplingRequest.request_id accepts any text",
    ),
    "a streamed change whose opening has no request id": (
        "message Opening {\n    string request_id",
        "message Opening {\n    string key",
        "SampleService.IngestSamples changes something",
    ),
    "a list request without a page token": (
        "string page_token = 2;",
        "",
        "ListSamplesRequest has no `page_token`",
    ),
    "a list response without the next page's token": (
        "string next_page_token = 1;",
        "",
        "ListSamplesResponse has no `next_page_token`",
    ),
    "an enum that starts with a meaning": (
        "KIND_UNSPECIFIED = 0;",
        "KIND_SQUARE = 0;",
        "GetSampleResponse.Kind starts with KIND_SQUARE: start it with KIND_UNSPECIFIED",
    ),
    "a number that is not exact": (
        "google.type.Decimal weight = 2;",
        "double weight = 2; google.type.Decimal other = 3;",
        "GetSampleResponse.weight is a double",
    ),
}


def findings(text: str, directory: Path) -> list[str]:
    sample, permission = Path("evenkeel/sample/v1/sample.proto"), Path("evenkeel/common/v1/permission.proto")
    for file, content in ((sample, text), (permission, (protos.PROTO / permission).read_text())):
        (directory / file).parent.mkdir(parents=True)
        (directory / file).write_text(content)
    return contracts.findings(protos.compile_image(directory, directory / "image.binpb"))


def test_a_contract_that_keeps_every_rule_has_no_findings(tmp_path):
    assert findings(GOOD, tmp_path) == []


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_found_and_named(case, tmp_path):
    keeps, breaks, finding = BROKEN[case]
    text = GOOD.replace(keeps, breaks, 1)

    found = findings(text, tmp_path)

    assert len(found) == 1
    assert finding in found[0]


def test_every_rule_is_broken_by_a_case(tmp_path):
    everything = GOOD
    for keeps, breaks, _ in BROKEN.values():
        everything = everything.replace(keeps, breaks, 1)
    sample = tmp_path / "all"

    found = findings(everything, sample)

    compiled = contracts.Contracts.of(protos.compile_image(sample, sample / "image.binpb"))
    assert found
    assert all(list(rule(compiled)) for rule in contracts.RULES)
