"""Where QuickFIX does not install, tests that need it are left out."""

import pytest

from tools.local.broker import INSTALLED

needs_quickfix = pytest.mark.skipif(
    not INSTALLED, reason="quickfix-ssl has one wheel, for CPython 3.11 on x86-64 Linux; here it does not install"
)
