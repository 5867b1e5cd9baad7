"""Tests of tools/checks/images.py, and that the Dockerfiles carry only what their service may have."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from tools.checks.images import IMAGES, RECIPE, ROOT, SERVICES, problems


def test_the_committed_files_are_what_the_recipe_says():
    assert problems(IMAGES) == []


def test_a_file_that_was_edited_or_forgotten_or_belongs_to_nobody_is_found_and_written_again(tmp_path):
    shutil.copy(IMAGES / RECIPE, tmp_path)
    assert len(problems(tmp_path)) == len(SERVICES) + 2
    assert problems(tmp_path, write=True) == []

    (tmp_path / "policy.Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "other.Dockerfile").write_text("FROM scratch\n")

    assert [found.split(" ")[0].rpartition("/")[2] for found in problems(tmp_path)] == [
        "policy.Dockerfile",
        "other.Dockerfile",
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_carries_its_own_service_and_no_other_and_runs_as_nobody_special(service):
    text = (IMAGES / f"{service}.Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE)

    assert set(copied) == {
        f"requirements/{service}.lock", "deploy/image/evenkeel.dist-info/", "gen/", "services/__init__.py",
        "services/kernel/", "services/runtime/", f"services/{service}/",
    }  # fmt: skip
    assert all((ROOT / path).exists() for path in copied)
    assert "USER 10001:10001" in text
    assert "--require-hashes" in text
    assert "{" not in text.replace("${PYTHON}", "")


def test_python_reads_version_and_entry_points_from_what_is_copied():
    program = """
import json, sys
from importlib.metadata import distribution
found = distribution("evenkeel")
print(json.dumps([found.version, {f"{p.group} {p.name}": p.value for p in found.entry_points}]))
"""
    # Without site-packages, so that the set-up's own installation is not what is found.
    command = [sys.executable, "-S", "-c", program]
    said = subprocess.run(command, cwd=IMAGES, capture_output=True, text=True, check=True, env={}).stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {**project["entry-points"], "console_scripts": project["scripts"]}

    assert json.loads(said) == [
        project["version"],
        {f"{group} {name}": value for group, named in groups.items() for name, value in named.items()},
    ]
