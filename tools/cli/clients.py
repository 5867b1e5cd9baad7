"""`evenkeel client`: what is on record of clients, and what policy makes of it."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer
from google.protobuf.message import Message
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal as DecimalMessage

from evenkeel.decision.v1 import plan_service_pb2 as plan_pb
from evenkeel.decision.v1.explanation_pb2 import Scenario
from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from evenkeel.policy.v1 import policy_service_pb2 as policy_pb
from evenkeel.policy.v1 import profile_service_pb2 as pb
from services.runtime.wire import date_message, decimal_message
from tools.cli.context import call, out, show, table
from tools.cli.documents import document_to_yaml
from tools.cli.plans import side_by_side
from tools.cli.text import number, state, time, utc_message
from tools.client.session import Evenkeel
from tools.client.values import civil_date, new_request_id

app = typer.Typer(help="What is on record of clients, and what policy makes of it.", no_args_is_help=True)

Node = Annotated[str, typer.Argument(help="An account, or a household whose accounts it is for.")]
Account = Annotated[str, typer.Argument(help="An account.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]
TaxImportance = Annotated[str, typer.Option("--tax", help="What counts of a tax paid now, 0 to 1.")]
RiskSteps = Annotated[int, typer.Option("--risk", help="Models up, or down when negative.")]
Exclusions = Annotated[list[str] | None, typer.Option("--exclude", help="An instrument, or screen:NAME; repeatable.")]
Tilts = Annotated[list[str] | None, typer.Option("--tilt", help="INSTRUMENT=SHIFT, such as VTI=-0.02; repeatable.")]

# Words for people; the contract's names in capitals are for programs.
_PATHS = [name.removeprefix("INCOME_PATH_").lower() for name in document_pb.IncomePath.keys()[1:]]
_SCHEMES = [name.removeprefix("SCHEME_").lower() for name in pb.ClientIdentity.Scheme.keys()[1:]]


@app.command("set-profile")
def set_profile(
    context: typer.Context,
    node: Node,
    reason: Annotated[str, typer.Option(help="Why, or where it is from.")],
    born: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Day of birth.")],
    tolerance: Annotated[int | None, typer.Option(min=1, max=10, help="For risk, 1 (least) to 10.")] = None,
    horizon: Day = None,
    income: Annotated[str, typer.Option(help=f"Where income is going: {', '.join(_PATHS)}.")] = "",
    need: Annotated[str, typer.Option(help="Fraction that may be needed within a year.")] = "",
    residence: Annotated[str, typer.Option(help="Country, two capital letters.")] = "",
    wrapper: Annotated[str, typer.Option(help="Kind of account, for instance TAXABLE.")] = "",
    identifier: Annotated[str, typer.Option(help="LEI, or country and number; kept encrypted by audit.")] = "",
    scheme: Annotated[str, typer.Option(help=f"Kind of identifier: {', '.join(_SCHEMES)}.")] = "",
    first_names: Annotated[str, typer.Option(help="Of a person, separated by commas.")] = "",
    surnames: Annotated[str, typer.Option(help="Of a person, separated by commas.")] = "",
) -> None:
    """Record a client's whole profile; it holds from now on."""
    profile = pb.ClientProfile(birth_date=_date(born), tolerance=tolerance, residence=residence, wrapper=wrapper)
    if horizon is not None:
        profile.horizon_date.CopyFrom(_date(horizon))
    if need:
        profile.liquidity_need.CopyFrom(_number(need, "--need"))
    if income:
        if income not in _PATHS:
            raise typer.BadParameter(f"must be one of {', '.join(_PATHS)}, was {income}", param_hint="--income")
        profile.income_path = document_pb.IncomePath.Value(f"INCOME_PATH_{income.upper()}")
    if identifier or scheme:
        if scheme not in _SCHEMES:
            raise typer.BadParameter(f"must be one of {', '.join(_SCHEMES)}, was {scheme!r}", param_hint="--scheme")
        kind = pb.ClientIdentity.Scheme.Value(f"SCHEME_{scheme.upper()}")
        profile.identity.CopyFrom(
            pb.ClientIdentity(scheme=kind, identifier=identifier, first_names=first_names, surnames=surnames)
        )
    request = pb.SetProfileRequest(request_id=new_request_id(), node_id=node, profile=profile, reason=reason)
    response = call(context, "advisor", lambda services: services.profiles.SetProfile(request))
    show(context, response, lambda: out.print(f"profile {response.record.sequence} of {node} is on record"))


@app.command("profile")
def show_profile(
    context: typer.Context,
    node: Node,
    at: Annotated[datetime | None, typer.Option("--at", help="As of this instant (UTC).")] = None,
) -> None:
    """Show the profile that counts, and the model that it leads to."""
    request = pb.GetProfileRequest(node_id=node)
    if at is not None:
        request.effective_time.CopyFrom(utc_message(at))
    response = call(context, "advisor", lambda services: services.profiles.GetProfile(request))

    def readable() -> None:
        record, said, led = response.record, response.record.profile, response.outcome
        rows = table(f"Profile of {record.node_id}", "what", "is")
        rows.add_row("born", civil_date(said.birth_date).isoformat())
        if said.HasField("identity"):
            who = said.identity
            rows.add_row(state(pb.ClientIdentity.Scheme.DESCRIPTOR, who.scheme).lower(), who.identifier)
            rows.add_row("name", f"{who.first_names} {who.surnames}".strip())
        rows.add_row("tolerance", str(said.tolerance) if said.HasField("tolerance") else "")
        rows.add_row("horizon", civil_date(said.horizon_date).isoformat() if said.HasField("horizon_date") else "")
        rows.add_row("income", state(document_pb.IncomePath.DESCRIPTOR, said.income_path) if said.income_path else "")
        rows.add_row("need for liquidity", number(said.liquidity_need))
        rows.add_row("residence", said.residence)
        rows.add_row("recorded", f"{time(record.effective_time)} by {record.author}: {record.reason}")
        out.print(rows)
        if response.HasField("outcome"):
            out.print(
                f"{led.decided_by} allows a risk budget of {number(led.risk_budget)}, so the model is "
                f"{led.model_node_id}; looked at again on {civil_date(led.next_date).isoformat()}",
                highlight=False,
            )

    show(context, response, readable)


@app.command()
def consent(
    context: typer.Context,
    node: Node,
    kind: Annotated[str, typer.Argument(help="What was agreed to, for instance discretionary-mandate.")],
    evidence: Annotated[str, typer.Option(help="Where the proof is.")],
    until: Annotated[datetime | None, typer.Option(help="Not valid from this instant on (UTC).")] = None,
) -> None:
    """Record that a client agreed to something."""
    request = pb.RecordConsentRequest(request_id=new_request_id(), node_id=node, kind=kind, evidence=evidence)
    if until is not None:
        request.expire_time.CopyFrom(utc_message(until))
    response = call(context, "advisor", lambda services: services.profiles.RecordConsent(request))
    show(context, response, lambda: out.print(f"{kind} of {node} is on record"))


@app.command("withdraw-consent")
def withdraw_consent(
    context: typer.Context,
    node: Node,
    kind: Annotated[str, typer.Argument(help="What is no longer agreed to.")],
    evidence: Annotated[str, typer.Option(help="Why, or where the proof is.")],
) -> None:
    """Record that a client no longer agrees."""
    request = pb.WithdrawConsentRequest(request_id=new_request_id(), node_id=node, kind=kind, evidence=evidence)
    response = call(context, "advisor", lambda services: services.profiles.WithdrawConsent(request))
    show(context, response, lambda: out.print(f"{kind} of {node} is withdrawn"))


@app.command()
def consents(context: typer.Context, node: Node) -> None:
    """List all records of consent, oldest first."""
    request = pb.ListConsentsRequest(node_id=node, page_size=1000)
    response = call(context, "advisor", lambda services: services.profiles.ListConsents(request))

    def readable() -> None:
        rows = table(f"Consents of {node}", "kind", "", "from", "until", "evidence", "recorded by")
        for each in response.consents:
            rows.add_row(
                each.kind, "given" if each.given else "withdrawn", time(each.effective_time), time(each.expire_time),
                each.evidence, each.author,
            )  # fmt: skip
        out.print(rows)
        out.print(f"valid now: {', '.join(response.valid_kinds) or 'none'}", highlight=False)

    show(context, response, readable)


@app.command()
def prefer(
    context: typer.Context,
    account: Account,
    tax: TaxImportance = "",
    risk: RiskSteps = 0,
    exclude: Exclusions = None,
    tilt: Tilts = None,
    reason: Annotated[str, typer.Option(help="Why, for people.")] = "",
) -> None:
    """Set all preferences of an account's client; they hold at once, within the bounds of policy."""
    request = pb.SetPreferencesRequest(
        request_id=new_request_id(),
        account_id=account,
        preferences=_preferences(tax, risk, exclude or [], tilt or []),
        reason=reason,
    )
    response = call(context, "advisor", lambda services: services.profiles.SetPreferences(request))
    show(context, response, lambda: _differences(response.differences))


@app.command()
def preview(
    context: typer.Context,
    account: Account,
    tax: TaxImportance = "",
    risk: RiskSteps = 0,
    exclude: Exclusions = None,
    tilt: Tilts = None,
    plan: Annotated[bool, typer.Option("--plan", help="Also what would be traded, with them and without.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what the plans say, for `plan previews`.")] = False,
) -> None:
    """Say what preferences would change and which bounds they would break, and set nothing."""
    request = pb.PreviewPreferencesRequest(
        account_id=account, preferences=_preferences(tax, risk, exclude or [], tilt or [])
    )

    async def work(services: Evenkeel) -> tuple[pb.PreviewPreferencesResponse, plan_pb.PreviewPlanResponse | None]:
        previewed = await services.profiles.PreviewPreferences(request)
        if not plan:
            return previewed, None
        document = previewed.document.SerializeToString(deterministic=True)
        scenarios = [
            Scenario(name="as it is", ignore_triggers=True),
            Scenario(name="with the preferences", policy_document=document, whole_policy=True, ignore_triggers=True),
        ]
        asked = plan_pb.PreviewPlanRequest(account_id=account, scenarios=scenarios, keep=keep)
        return previewed, await services.plans.PreviewPlan(asked)

    response, planned = call(context, "advisor", work)

    def readable() -> None:
        for problem in response.problems:
            words = f"{problem.field}: {problem.description}" if problem.field else problem.description
            out.print(f"[red]not possible[/] {words}", highlight=False)
        _differences(response.differences)
        if planned is not None:
            side_by_side(planned)

    show(context, response if planned is None else [response, planned], readable)
    if response.problems:
        raise typer.Exit(1)


@app.command()
def preferences(context: typer.Context, account: Account) -> None:
    """Show an account's preferences, the earlier ones, and how far they may go."""
    request = pb.GetPreferencesRequest(account_id=account)
    response = call(context, "advisor", lambda services: services.profiles.GetPreferences(request))

    def readable() -> None:
        rows = table(f"Preferences of {account}", "since", "tax", "risk", "without", "tilts", "by", "why")
        for record in response.records:
            said = record.preferences
            rows.add_row(
                time(record.effective_time),
                number(said.tax_importance),
                str(said.risk_steps),
                ", ".join(each.instrument_id or f"screen:{each.screen}" for each in said.exclusions),
                ", ".join(f"{each.instrument_id}={number(each.shift)}" for each in said.tilts),
                record.author,
                record.reason,
            )
        out.print(rows)
        limits = document_to_yaml(document_pb.PolicyDocument(preferences=response.limits))
        out.print(limits, highlight=False, markup=False)

    show(context, response, readable)


@app.command()
def presets(context: typer.Context, name: Annotated[str, typer.Argument(help="Show only this one.")] = "") -> None:
    """List published rules and philosophies, as parts of documents to start from."""
    response = call(context, "policy_author", lambda services: services.profiles.ListPresets(pb.ListPresetsRequest()))
    found: list[Message] = [preset for preset in response.presets if name in ("", preset.name)]
    if not found:
        raise typer.BadParameter(f"there is no preset {name!r}")

    def readable() -> None:
        for preset in response.presets:
            if name not in ("", preset.name):
                continue
            out.print(f"# {preset.name}: {preset.description}", highlight=False, markup=False)
            if preset.source:
                out.print(f"# {preset.source}", highlight=False, markup=False)
            out.print(document_to_yaml(preset.document), highlight=False, markup=False)

    show(context, found, readable)


def _preferences(tax: str, risk: int, exclude: list[str], tilt: list[str]) -> pb.ClientPreferences:
    chosen = pb.ClientPreferences(risk_steps=risk)
    if tax:
        chosen.tax_importance.CopyFrom(_number(tax, "--tax"))
    for each in exclude:
        _, screen, named = each.partition("screen:")
        chosen.exclusions.append(pb.Exclusion(screen=named) if screen else pb.Exclusion(instrument_id=each))
    for each in tilt:
        instrument_id, equals, shift = each.partition("=")
        if not equals:
            raise typer.BadParameter(f"must be INSTRUMENT=SHIFT, was {each}", param_hint="--tilt")
        chosen.tilts.append(pb.Tilt(instrument_id=instrument_id, shift=_number(shift, "--tilt")))
    return chosen


def _differences(differences: Sequence[policy_pb.PolicyDifference]) -> None:
    for each in differences:
        out.print(each.description, highlight=False, markup=False)
    if not differences:
        out.print("nothing changes")


def _number(text: str, option: str) -> DecimalMessage:
    try:
        return decimal_message(Decimal(text))
    except (InvalidOperation, ValueError) as error:
        raise typer.BadParameter(f"must be a number, was {text}", param_hint=option) from error


def _date(day: datetime) -> Date:
    return date_message(day.date())
