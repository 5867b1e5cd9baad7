"""Optimisers that misbehave, for computing processes: they must be importable by name."""

import os
import time

from services.decision.domain.decide import decide


def slow_or_deadly():
    """Return an optimiser that sleeps for account `slow`, dies with `deadly`, and breaks at `broken`."""

    def misbehaving(problem, risk, options):
        match problem.account_id:
            case "slow":
                time.sleep(60)
            case "deadly":
                os._exit(9)
            case "broken":
                raise ZeroDivisionError("no such number")
        return decide(problem, risk, options)

    return misbehaving


def of_every_other():
    """Return an optimiser of many that leaves every second account to the other road."""

    def leaving(problems, risk, options):
        each = enumerate(zip(problems, options, strict=True))
        return [decide(problem, risk, how) if index % 2 == 0 else None for index, (problem, how) in each]

    return leaving


def of_none():
    """Return an optimiser of many that breaks."""

    def broken(problems, risk, options):
        raise ZeroDivisionError("no such number")

    return broken
