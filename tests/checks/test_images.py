"""Tests of tools/checks/images.py, and that the Dockerfiles carry only what their service may have."""

import re
import shutil

import pytest

from tools.checks.images import IMAGES, RECIPE, ROOT, SERVICES, problems


def test_the_committed_files_are_what_the_recipe_says():
    assert problems(IMAGES) == []


def test_a_file_that_was_edited_or_forgotten_or_belongs_to_nobody_is_found_and_written_again(tmp_path):
    shutil.copy(IMAGES / RECIPE, tmp_path)
    assert len(problems(tmp_path)) == len(SERVICES)
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
        f"requirements/{service}.lock", "gen/", "services/__init__.py", "services/kernel/", "services/runtime/",
        f"services/{service}/",
    }  # fmt: skip
    assert all((ROOT / path).exists() for path in copied)
    assert "USER 10001:10001" in text
    assert "--require-hashes" in text
    assert "{" not in text.replace("${PYTHON}", "")
