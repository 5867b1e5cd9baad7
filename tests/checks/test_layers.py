"""No service escapes the import rules: one that is added without being named in them is found."""

import tomllib

from tools.checks.locks import ROOT


def test_the_inward_rule_names_every_service():
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    inward = next(rule for rule in rules if rule["id"] == "inward")
    present = {path.parent.name for path in (ROOT / "services").glob("*/__init__.py")} - {"kernel", "runtime"}

    assert set(inward["containers"]) >= {f"services.{name}" for name in present}
    assert inward["exhaustive"] is True
