"""Stubs follow the contracts, and a contract that breaks its clients is refused."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.checks import protos

NOTE = "evenkeel/note/v1/note.proto"
TEXT = """syntax = "proto3";

// Notes.
package evenkeel.note.v1;

// A note.
message Note {
  // What it says.
  int32 text = 1;
}
"""


@pytest.fixture(scope="module")
def model_house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that each test gets a copy of: compiling takes a second."""
    made = tmp_path_factory.mktemp("house")
    write(made, TEXT)
    protos.generate(made / "proto", made / "gen")
    protos.release(made / "proto", made / "released.binpb")
    return made


@pytest.fixture
def house(model_house: Path, tmp_path: Path) -> Path:
    """A folder with one contract in `proto`, its stubs in `gen`, and its release in `released.binpb`."""
    return shutil.copytree(model_house, tmp_path, dirs_exist_ok=True)


def write(house: Path, text: str) -> None:
    path = house / "proto" / NOTE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def check(house: Path) -> list[str]:
    return protos.check(house / "proto", house / "gen", house / "released.binpb")


def test_a_released_contract_with_fresh_stubs_has_no_findings(house):
    assert check(house) == []


def test_a_changed_field_type_breaks_clients(house):
    write(house, TEXT.replace("int32 text", "int64 text"))

    assert any("breaking" in finding and "int64" in finding for finding in check(house))


def test_an_added_field_breaks_nobody(house):
    write(house, TEXT.replace("int32 text = 1;", "int32 text = 1;\n  // Who wrote it.\n  string author = 2;"))
    protos.generate(house / "proto", house / "gen")

    assert check(house) == []


def test_a_field_without_a_comment_is_found(house):
    write(house, TEXT.replace("  // What it says.\n", ""))

    assert any("lint" in finding and "comment" in finding for finding in check(house))


def test_a_file_in_another_format_is_found(house):
    write(house, TEXT.replace("  int32", "      int32"))

    assert any(finding.startswith("buf format") for finding in check(house))


def test_an_unreleased_contract_is_found(house):
    (house / "released.binpb").unlink()

    assert any("make proto-release" in finding for finding in check(house))


def test_changed_missing_and_extra_stubs_are_stale(house):
    stubs = house / "gen" / "evenkeel" / "note" / "v1"
    (stubs / "note_pb2.py").write_text("# edited\n")
    (stubs / "note_pb2.pyi").unlink()
    (stubs / "gone_pb2.py").write_text("")

    stale = protos.stale_stubs(house / "proto", house / "gen")

    assert [Path(name).name for name in stale] == ["gone_pb2.py", "note_pb2.py", "note_pb2.pyi"]


def test_a_contract_that_does_not_compile_is_refused_with_its_place(house):
    write(house, TEXT.replace("int32", "int31"))

    with pytest.raises(protos.ContractsInvalid, match=r"note\.proto:9.*int31"):
        protos.generate(house / "proto", house / "gen")


def test_no_contracts_make_no_stubs(house):
    shutil.rmtree(house / "proto" / "evenkeel")

    protos.generate(house / "proto", house / "gen")

    assert not list((house / "gen").rglob("*.py*"))


def test_our_stubs_live_beside_the_packages_of_google():
    program = (
        "import evenkeel.audit.v1.audit_service_pb2_grpc, google.type.money_pb2, google.rpc.status_pb2, "
        "google.longrunning.operations_pb2, google.protobuf.any_pb2, buf.validate.validate_pb2"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=protos.STUBS, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
