"""What can be asked of policy, and what it needs in order to answer?"""

from services.policy.app.changing import ChangeApp
from services.policy.app.reading import PolicyApp
from services.policy.app.tree import TreeApp

__all__ = ["ChangeApp", "PolicyApp", "TreeApp"]
