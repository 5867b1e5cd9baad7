"""What does every service need around its own work? Server, client, database, identity, telemetry: once for all four."""
