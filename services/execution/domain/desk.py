"""Who trades, where and by what: what supervisors ask of every order and no order says itself."""

from dataclasses import dataclass

from services.kernel.canonical import JsonValue


@dataclass(frozen=True, slots=True)
class Desk:
    """The firm's side of its orders; each is empty when nobody said it.

    Attributes:
        firm_lei: The firm that executes, ISO 17442.
        firm_branch: Country of the branch that trades, ISO 3166-1 alpha-2.
        investment_firm: Whether the firm is one under Directive 2014/65/EU.
        venue_mic: Where orders are executed, ISO 10383.
        broker_lei: To whom orders are given.
        execution_algorithm: What forms blocks and times them, as the firm has it registered; at most 50 characters.
        capacity: In which the firm trades: `AOTC`, `DEAL` or `MTCH` (Del. Reg. (EU) 2017/590, Annex I, field 29).
    """

    firm_lei: str = ""
    firm_branch: str = ""
    investment_firm: bool = True
    venue_mic: str = ""
    broker_lei: str = ""
    execution_algorithm: str = ""
    capacity: str = "AOTC"

    def told(self) -> dict[str, JsonValue]:
        """Return what audit is told of it: what is not said is left out."""
        said = {
            "firm_lei": self.firm_lei,
            "firm_branch": self.firm_branch,
            "venue_mic": self.venue_mic,
            "broker_lei": self.broker_lei,
            "execution_algorithm": self.execution_algorithm,
            "capacity": self.capacity,
        }
        return {"investment_firm": self.investment_firm, **{name: each for name, each in said.items() if each}}
