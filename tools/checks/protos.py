"""Compiles the contracts under `proto/` to the Python stubs under `gen/`, and checks what protoc alone does not.

The imports that the contracts use (`buf/validate`, `google/api`, `google/type`, `google/rpc`, `google/longrunning`)
are not copied into the project and not downloaded: the installed packages carry their descriptors. They are written to
one descriptor set, which protoc reads in place of the `.proto` files.

    python -m tools.checks.protos generate   write gen/
    python -m tools.checks.protos release    record the contracts as published: proto/released/v1.binpb
    python -m tools.checks.protos format     rewrite the .proto files in buf's format
    python -m tools.checks.protos check      lint, format, breaking changes, house rules, stubs up to date
"""

import argparse
import filecmp
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor
from protovalidate._gen.buf.validate import validate_pb

from tools.checks import contracts

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
STUBS = ROOT / "gen"
RELEASED = PROTO / "released" / "v1.binpb"

# Python modules whose descriptors the contracts may import. Each brings what it imports itself.
IMPORTABLE = (
    "google.api.annotations_pb2",
    "google.api.client_pb2",
    "google.api.field_behavior_pb2",
    "google.api.field_info_pb2",
    "google.api.resource_pb2",
    "google.longrunning.operations_pb2",
    "google.protobuf.any_pb2",
    "google.protobuf.duration_pb2",
    "google.protobuf.empty_pb2",
    "google.protobuf.field_mask_pb2",
    "google.protobuf.struct_pb2",
    "google.protobuf.timestamp_pb2",
    "google.protobuf.wrappers_pb2",
    "google.rpc.code_pb2",
    "google.rpc.error_details_pb2",
    "google.rpc.status_pb2",
    "google.type.date_pb2",
    "google.type.decimal_pb2",
    "google.type.interval_pb2",
    "google.type.money_pb2",
)

# The one foreign file without a published Python stub for google.protobuf; we generate it beside our own.
VALIDATE = "buf/validate/validate.proto"


class ContractsInvalid(Exception):
    """The contracts do not compile, or break a rule; the message says where."""


def importable_files() -> descriptor_pb2.FileDescriptorSet:
    """Return the descriptors of every file that a contract may import, dependencies first."""
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(file: FileDescriptor) -> None:
        if file.name in found:
            return
        for dependency in file.dependencies:
            add(dependency)
        found[file.name] = descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb)

    for module in IMPORTABLE:
        add(importlib.import_module(module).DESCRIPTOR)
    found[VALIDATE] = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    return descriptor_pb2.FileDescriptorSet(file=found.values())


def compile_image(proto: Path, image: Path) -> descriptor_pb2.FileDescriptorSet:
    """Compile all contracts under `proto` into one descriptor set with imports and comments, and write it to `image`.

    Raises:
        ContractsInvalid: protoc refused a file.
    """
    if not _proto_files(proto):
        image.write_bytes(b"")
        return descriptor_pb2.FileDescriptorSet()
    _protoc(proto, ["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"])
    return descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())


def generate(proto: Path, out: Path) -> None:
    """Write the Python stubs of all contracts under `proto` to `out`, in place of those that are there.

    Raises:
        ContractsInvalid: protoc refused a file.
    """
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        if _proto_files(proto):
            plugins = [f"--plugin=protoc-gen-{name}={_tool(f'protoc-gen-{name}')}" for name in ("mypy", "mypy_grpc")]
            kinds = [f"--python_out={fresh}", f"--mypy_out=quiet:{fresh}"]
            grpc_kinds = [f"--grpc_python_out={fresh}", f"--mypy_grpc_out=quiet,async_only:{fresh}"]
            _protoc(proto, [*plugins, *kinds, *grpc_kinds])
            _protoc(proto, [*plugins, *kinds], files=[VALIDATE])
            _drop_empty_service_stubs(fresh)
        for name in _stub_files(out) - _stub_files(fresh):
            (out / name).unlink()
        for name in _differing(fresh, out):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fresh / name, out / name)


def stale_stubs(proto: Path, out: Path) -> list[str]:
    """Return the stubs under `out` that differ from what `proto` generates, missing and extra ones included."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(proto, fresh)
        return sorted((_stub_files(out) - _stub_files(fresh)) | _differing(fresh, out))


def check(proto: Path, stubs: Path, released: Path) -> list[str]:
    """Return everything that is wrong with the contracts, one line or block each; empty when all is well."""
    findings: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "evenkeel.binpb"
        files = compile_image(proto, image)
        if not files.file:
            return findings
        only_ours = ["--path", "evenkeel", "--config", str(ROOT / "buf.yaml")]
        findings += _buf("lint", str(image), *only_ours)
        findings += _buf("format", "--diff", "--exit-code", str(proto))
        if released.exists():
            findings += _buf("breaking", str(image), "--against", str(released), *only_ours)
        else:
            findings.append(f"{released.name} is missing: `make proto-release` records the published contracts")
    findings += contracts.findings(files)
    findings += [f"gen/{name} is not what proto/ generates: run `make proto`" for name in stale_stubs(proto, stubs)]
    return findings


def release(proto: Path, released: Path) -> None:
    """Record the contracts as published; from then on `check` refuses changes that would break a client."""
    released.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        image = compile_image(proto, Path(scratch) / "evenkeel.binpb")
    for file in image.file:
        file.ClearField("source_code_info")
    released.write_bytes(image.SerializeToString(deterministic=True))


def _proto_files(proto: Path) -> list[str]:
    return sorted(str(path.relative_to(proto)) for path in (proto / "evenkeel").rglob("*.proto"))


def _stub_files(out: Path) -> set[str]:
    return {
        str(path.relative_to(out))
        for package in ("evenkeel", "buf")
        for path in (out / package).rglob("*.py*")
        if path.suffix in {".py", ".pyi"}
    }


def _differing(fresh: Path, out: Path) -> set[str]:
    """Return the stub files under `fresh` that `out` lacks or has with other content."""
    return {
        name
        for name in _stub_files(fresh)
        if not (out / name).exists() or not filecmp.cmp(fresh / name, out / name, shallow=False)
    }


def _protoc(proto: Path, arguments: Sequence[str], files: Iterable[str] | None = None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        imports = Path(scratch) / "imports.binpb"
        imports.write_bytes(importable_files().SerializeToString(deterministic=True))
        _run(
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"--descriptor_set_in={imports}",
            f"--proto_path={proto}",
            *arguments,
            *(_proto_files(proto) if files is None else files),
        )


def _drop_empty_service_stubs(out: Path) -> None:
    """Remove the service stubs of files that declare no service: nothing imports them."""
    for stub in out.rglob("*_pb2_grpc.py"):
        if "Servicer" not in stub.read_text():
            stub.unlink()
            stub.with_suffix(".pyi").unlink(missing_ok=True)


def _buf(*arguments: str) -> list[str]:
    try:
        _run(_tool("buf"), *arguments)
    except ContractsInvalid as invalid:
        return [f"buf {arguments[0]}:\n{invalid}"]
    return []


def _run(*command: str) -> None:
    # The result must not depend on the caller's environment, so buf and protoc get only what starts a program.
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ContractsInvalid((done.stdout + done.stderr).strip())


def _tool(name: str) -> str:
    """Return the path of a program that was installed with this Python."""
    return str(Path(sys.executable).parent / name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.checks.protos", description="Compile and check the contracts."
    )
    parser.add_argument("command", choices=("generate", "release", "format", "check"))
    command: str = parser.parse_args(arguments).command
    try:
        match command:
            case "generate":
                generate(PROTO, STUBS)
            case "release":
                release(PROTO, RELEASED)
            case "format":
                _run(_tool("buf"), "format", "--write", str(PROTO))
            case _:
                findings = check(PROTO, STUBS, RELEASED)
                sys.stdout.write("".join(f"{finding}\n" for finding in findings))
                return 1 if findings else 0
    except ContractsInvalid as invalid:
        sys.stdout.write(f"{invalid}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
