"""The use cases of the decision service, one per RPC, and the ports they need."""
