"""What supervisors ask for beside trades: who trades, by which names, for whom.

None of it is real, and it shows: ISINs begin with ZZ, which no country has (ISO 3166-1 leaves it to users), and LEIs
are spelled so that nobody can have them.
"""

import asyncio
from collections.abc import Mapping, Sequence

from google.type.date_pb2 import Date

from evenkeel.policy.v1 import profile_service_pb2 as pb
from services.decision.domain.identification import isin_check_digit
from services.kernel.lei import with_check_digits
from tools.client.session import Evenkeel
from tools.client.values import repeatable_request_id
from tools.demo.population import FACTOR_ETFS, Client, Model

# Settings of the execution service.
DESK: Mapping[str, str] = {
    f"EVENKEEL_EXECUTION_{name}": value
    for name, value in {
        "FIRM_LEI": with_check_digits("EXAMPLEWEALTHFIRM0"),
        "FIRM_BRANCH": "DE",
        # No trading venue: what the sandbox fills is nobody's market.
        "VENUE_MIC": "XXXX",
        "BROKER_LEI": with_check_digits("EXAMPLEBROKER00000"),
    }.items()
}

MANDATE = "discretionary-mandate"
# Households whose client is on record in the demo; whoever looks further finds in reports that nobody asked.
HOUSEHOLDS_ON_RECORD = 20
_AT_ONCE = 8


def isin(instrument_id: str) -> str:
    """Return the sample ISIN of an instrument, whose id is a ticker of at most nine letters, digits and signs."""
    stem = "ZZ" + "".join(each for each in instrument_id.upper() if each.isalnum()).rjust(9, "0")
    return stem + isin_check_digit(stem)


def cfi(model: Model) -> str:
    """Return what the instruments of a model are (ISO 10962): units of an exchange-traded fund, or common shares."""
    return "CEOGES" if model is FACTOR_ETFS else "ESVUFR"


async def put_on_record(clients: Sequence[Client], advisor: Evenkeel) -> None:
    """Record who the clients' households are, and that they have the firm decide."""
    households = list(dict.fromkeys(client.household_id for client in clients))
    slots = asyncio.Semaphore(_AT_ONCE)

    async def record(household_id: str) -> None:
        who = pb.ClientIdentity(
            scheme=pb.ClientIdentity.SCHEME_NATIONAL,
            identifier="DE" + "".join(each for each in household_id.upper() if each.isalnum())[-20:],
            first_names="SAM",
            surnames="SAMPLE",
        )
        profile = pb.ClientProfile(birth_date=Date(year=1970, month=1, day=2), identity=who)
        async with slots:
            await advisor.profiles.SetProfile(
                pb.SetProfileRequest(
                    request_id=repeatable_request_id("profile", household_id),
                    node_id=household_id,
                    profile=profile,
                    reason="Account opening.",
                )
            )
            await advisor.profiles.RecordConsent(
                pb.RecordConsentRequest(
                    request_id=repeatable_request_id("mandate", household_id),
                    node_id=household_id,
                    kind=MANDATE,
                    evidence=f"mandate-{household_id}",
                )
            )

    await asyncio.gather(*map(record, households))
