"""What can be asked of policy, and what it needs in order to answer?"""

from services.policy.app.changing import ChangeApp
from services.policy.app.clients import ClientApp
from services.policy.app.editions import Editions
from services.policy.app.reading import PolicyApp
from services.policy.app.rolling import RolloutApp
from services.policy.app.scoping import ScopeApp
from services.policy.app.stopping import StopApp
from services.policy.app.tree import TreeApp

__all__ = ["ChangeApp", "ClientApp", "Editions", "PolicyApp", "RolloutApp", "ScopeApp", "StopApp", "TreeApp"]
