"""How does a program talk to the four services? Through `Evenkeel`, one typed client with the platform's defaults."""
