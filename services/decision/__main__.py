"""`python -m services.decision serve` or `migrate`."""

# Computing processes import this module under another name, and need none of the service.
if __name__ == "__main__":
    from services.decision.main import command_line

    command_line()
