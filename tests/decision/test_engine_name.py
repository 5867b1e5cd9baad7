"""What computes plans is named by its source and options, not by its version alone."""

import shutil

from services.decision import main


def test_the_engine_says_kind_versions_source_and_options():
    words = dict(word.partition("/")[::2] for word in main.engine_name("kernel").split(" "))

    assert words.keys() >= {"kernel", "evenkeel", "cvxpy", "clarabel", "numba", "numpy", "source", "iterations"}
    assert main.engine_name("kernel") == main.engine_name("kernel")


def test_another_line_of_source_is_another_engine(tmp_path, monkeypatch):
    package = tmp_path / "copied_kernel"
    shutil.copytree("services/kernel", package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(tmp_path)
    before = main.source_digest(["copied_kernel"])
    with (package / "money.py").open("a", encoding="utf-8") as source:
        source.write("\n# Another line.\n")

    assert before == main.source_digest(["services.kernel"])
    assert main.source_digest(["copied_kernel"]) != before
