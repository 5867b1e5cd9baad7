"""What does Evenkeel do? Shows one rebalance of a thousand accounts, on real prices, through all four services."""
