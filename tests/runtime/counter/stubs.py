"""The counter service's stubs, compiled when the tests need them, so that no generated test code is kept."""

import importlib
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from buf.validate import validate_pb2
from evenkeel.common.v1 import permission_pb2

HERE = Path(__file__).parent
NAME = "counter_service"


def _known():
    """Return what the contract imports, dependencies first."""
    files, order = set(), []

    def add(file):
        if file.name not in files:
            files.add(file.name)
            for dependency in file.dependencies:
                add(dependency)
            order.append(file)

    add(validate_pb2.DESCRIPTOR)
    add(permission_pb2.DESCRIPTOR)
    known = FileDescriptorSet()
    for file in order:
        file.CopyToProto(known.file.add())
    return known


def _compile():
    with tempfile.TemporaryDirectory(prefix="evenkeel-stubs-") as made:
        known = Path(made) / "known.binpb"
        known.write_bytes(_known().SerializeToString())
        arguments = [
            "protoc",
            f"--descriptor_set_in={known}",
            f"-I{HERE}",
            f"--python_out={made}",
            f"--grpc_python_out={made}",
            f"{NAME}.proto",
        ]
        assert protoc.main(arguments) == 0
        sys.path.insert(0, made)
        try:
            return importlib.import_module(f"{NAME}_pb2"), importlib.import_module(f"{NAME}_pb2_grpc")
        finally:
            sys.path.remove(made)


pb, rpc = _compile()
