"""How does a person talk to the services? By `evenkeel`, a typed command-line client."""
