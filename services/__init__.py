"""Which programs make up the platform? Four services, the words they share, and the plumbing they stand on."""
