"""What does every service need around its own work? Once for all four."""
