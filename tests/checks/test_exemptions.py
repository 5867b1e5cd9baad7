"""An exemption without a reason is found; one with a reason, or a mention in a text, is not."""

import pytest

from tools.checks import exemptions


@pytest.mark.parametrize(
    "line",
    ["import x  # noqa: F401", "import x  # noqa", "x = y()  # type: ignore[arg-type]", "import x  # noqa: F401, E402"],
)
def test_an_exemption_without_a_reason_is_found(line):
    assert list(exemptions.findings("a.py", f"\n{line}\n")) == [f"a.py:2 gives no reason: {line[line.index('#') :]}"]


@pytest.mark.parametrize(
    "line",
    [
        "import x  # noqa: F401 - registers the plugin",
        "import x  # noqa: F401, E402 # registers the plugin",
        "x = y()  # type: ignore[arg-type]  # the stub is wrong: see its issue",
        "x = '# noqa: F401'",
    ],
)
def test_an_exemption_with_a_reason_is_fine(line):
    assert list(exemptions.findings("a.py", line)) == []
