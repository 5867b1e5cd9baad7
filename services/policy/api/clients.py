"""`evenkeel.policy.v1.ProfileService`: message → values → use case → message."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import grpc.aio
from google.protobuf.message import Message

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from evenkeel.policy.v1 import profile_service_pb2 as pb
from evenkeel.policy.v1.profile_service_pb2_grpc import ProfileServiceServicer
from services.kernel.clock import Clock
from services.kernel.ids import InstrumentId, PolicyNodeId
from services.policy.api.callers import caller
from services.policy.api.documents import document_message
from services.policy.api.messages import as_of, difference_message, instant_in
from services.policy.app.clients import ClientApp, Known
from services.policy.domain.document import Document
from services.policy.domain.identity import ClientIdentity, IdentifierScheme
from services.policy.domain.personal import Consent, Profile, ProfileRecord, next_anniversary
from services.policy.domain.personal_rules import IncomePath
from services.policy.domain.preferences import Exclusion, Preferences, PreferencesRecord, Tilt
from services.policy.domain.presets import PRESETS
from services.runtime.paging import cut, read_page
from services.runtime.wire import date_message, date_of, decimal_message, decimal_of, instant_message

PAGE_DEFAULT = 100
PAGE_MAX = 1_000

_INCOME = "INCOME_PATH_"
_SCHEME = "SCHEME_"

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class ProfileServicer(ProfileServiceServicer):
    """Answers callers about clients."""

    clients: ClientApp
    market_clock: Clock

    async def SetProfile(self, request: pb.SetProfileRequest, context: _Context) -> pb.SetProfileResponse:
        record = await self.clients.set_profile(
            PolicyNodeId(request.node_id),
            _profile_of(request.profile),
            reason=request.reason,
            by=caller().subject,
            effective_time=instant_in(request, "effective_time"),
        )
        return pb.SetProfileResponse(record=_profile_record(record))

    async def GetProfile(self, request: pb.GetProfileRequest, context: _Context) -> pb.GetProfileResponse:
        asked = as_of(request, self.market_clock.now())
        known = await self.clients.profile(PolicyNodeId(request.node_id), asked)
        response = pb.GetProfileResponse(record=_profile_record(known.record))
        if known.outcome is not None:
            response.outcome.CopyFrom(_outcome(known, asked.valid_time.date()))
        return response

    async def RecordConsent(self, request: pb.RecordConsentRequest, context: _Context) -> pb.RecordConsentResponse:
        consent = await self.clients.record_consent(
            PolicyNodeId(request.node_id),
            request.kind,
            evidence=request.evidence,
            by=caller().subject,
            effective_time=instant_in(request, "effective_time"),
            expire_time=instant_in(request, "expire_time"),
        )
        return pb.RecordConsentResponse(consent=_consent(consent))

    async def WithdrawConsent(
        self, request: pb.WithdrawConsentRequest, context: _Context
    ) -> pb.WithdrawConsentResponse:
        consent = await self.clients.withdraw_consent(
            PolicyNodeId(request.node_id), request.kind, evidence=request.evidence, by=caller().subject
        )
        return pb.WithdrawConsentResponse(consent=_consent(consent))

    async def ListConsents(self, request: pb.ListConsentsRequest, context: _Context) -> pb.ListConsentsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        history, valid = await self.clients.consents(PolicyNodeId(request.node_id))
        after = 0 if page.after is None else int(page.after[0])
        found = [each for each in history if each.sequence > after][: page.size + 1]
        shown, token = cut(found, page, lambda each: (each.sequence,))
        return pb.ListConsentsResponse(consents=map(_consent, shown), next_page_token=token, valid_kinds=sorted(valid))

    async def SetPreferences(self, request: pb.SetPreferencesRequest, context: _Context) -> pb.SetPreferencesResponse:
        record, changed = await self.clients.set_preferences(
            PolicyNodeId(request.account_id),
            _preferences_of(request.preferences),
            reason=request.reason,
            by=caller().subject,
        )
        return pb.SetPreferencesResponse(
            record=_preferences_record(record), differences=map(difference_message, changed)
        )

    async def PreviewPreferences(
        self, request: pb.PreviewPreferencesRequest, context: _Context
    ) -> pb.PreviewPreferencesResponse:
        preview = await self.clients.preview_preferences(
            PolicyNodeId(request.account_id), _preferences_of(request.preferences)
        )
        return pb.PreviewPreferencesResponse(
            differences=map(difference_message, preview.differences),
            problems=[
                pb.PreferenceProblem(field=field, description=words, reason=reason)
                for field, words, reason in preview.problems
            ],
            document=document_message(preview.document),
        )

    async def GetPreferences(self, request: pb.GetPreferencesRequest, context: _Context) -> pb.GetPreferencesResponse:
        history, limits = await self.clients.preferences(PolicyNodeId(request.account_id))
        return pb.GetPreferencesResponse(
            records=map(_preferences_record, history),
            limits=document_message(Document(preferences=limits)).preferences,
        )

    async def ListPresets(self, request: pb.ListPresetsRequest, context: _Context) -> pb.ListPresetsResponse:
        page = read_page(request, default=len(PRESETS), most=PAGE_MAX)
        after = "" if page.after is None else str(page.after[0])
        found = [each for each in PRESETS if each.name > after][: page.size + 1]
        shown, token = cut(found, page, lambda each: (each.name,))
        presets = (
            pb.Preset(
                name=each.name,
                description=each.description,
                source=each.source,
                document=document_message(each.document),
            )
            for each in shown
        )
        return pb.ListPresetsResponse(presets=presets, next_page_token=token)


def _profile_of(message: pb.ClientProfile) -> Profile:
    income = document_pb.IncomePath.Name(message.income_path).removeprefix(_INCOME).lower()
    return Profile(
        birth_date=date_of(message.birth_date, "profile.birth_date"),
        tolerance=message.tolerance if message.HasField("tolerance") else None,
        horizon_date=(
            date_of(message.horizon_date, "profile.horizon_date") if message.HasField("horizon_date") else None
        ),
        income_path=IncomePath(income) if message.income_path else None,
        liquidity_need=(
            decimal_of(message.liquidity_need, "profile.liquidity_need") if message.HasField("liquidity_need") else None
        ),
        residence=message.residence or None,
        wrapper=message.wrapper or None,
        identity=_identity_of(message.identity) if message.HasField("identity") else None,
    )


def _identity_of(message: pb.ClientIdentity) -> ClientIdentity:
    scheme = IdentifierScheme[pb.ClientIdentity.Scheme.Name(message.scheme).removeprefix(_SCHEME)]
    return ClientIdentity(scheme, message.identifier, message.first_names, message.surnames)


def _profile_record(record: ProfileRecord) -> pb.ProfileRecord:
    said = record.profile
    profile = pb.ClientProfile(
        birth_date=date_message(said.birth_date),
        tolerance=said.tolerance,
        residence=said.residence or "",
        wrapper=said.wrapper or "",
    )
    if said.horizon_date is not None:
        profile.horizon_date.CopyFrom(date_message(said.horizon_date))
    if said.income_path is not None:
        profile.income_path = document_pb.IncomePath.Value(_INCOME + said.income_path.name)
    if said.liquidity_need is not None:
        profile.liquidity_need.CopyFrom(decimal_message(said.liquidity_need))
    if said.identity is not None:
        profile.identity.CopyFrom(
            pb.ClientIdentity(
                scheme=pb.ClientIdentity.Scheme.Value(_SCHEME + said.identity.scheme.name),
                identifier=said.identity.identifier,
                first_names=said.identity.first_names,
                surnames=said.identity.surnames,
            )
        )
    message = pb.ProfileRecord(
        node_id=record.node_id, sequence=record.sequence, profile=profile, author=record.author, reason=record.reason
    )
    _times(message, record)
    return message


def _outcome(known: Known, day: date) -> pb.ProfileOutcome:
    found = known.outcome
    if found is None:
        return pb.ProfileOutcome()
    return pb.ProfileOutcome(
        risk_budget=decimal_message(found.risk_budget),
        model_node_id=found.model.model_node_id,
        decided_by=found.decided_by,
        rule_version_hash=known.rule_version_id or "",
        next_date=date_message(next_anniversary(known.record.profile, day)),
    )


def _consent(consent: Consent) -> pb.ConsentRecord:
    message = pb.ConsentRecord(
        node_id=consent.node_id,
        kind=consent.kind,
        sequence=consent.sequence,
        given=consent.given,
        evidence=consent.evidence,
        author=consent.author,
    )
    _times(message, consent)
    if consent.expire_time is not None:
        message.expire_time.CopyFrom(instant_message(consent.expire_time))
    return message


def _preferences_of(message: pb.ClientPreferences) -> Preferences:
    return Preferences(
        tax_importance=(
            decimal_of(message.tax_importance, "preferences.tax_importance")
            if message.HasField("tax_importance")
            else None
        ),
        risk_steps=message.risk_steps,
        exclusions=tuple(
            Exclusion(screen=each.screen)
            if each.WhichOneof("item") == "screen"
            else Exclusion(InstrumentId(each.instrument_id))
            for each in message.exclusions
        ),
        tilts=tuple(
            Tilt(InstrumentId(each.instrument_id), decimal_of(each.shift, f"preferences.tilts[{row}].shift"))
            for row, each in enumerate(message.tilts)
        ),
    )


def _preferences_record(record: PreferencesRecord) -> pb.PreferencesRecord:
    said = record.preferences
    preferences = pb.ClientPreferences(
        risk_steps=said.risk_steps,
        exclusions=[
            pb.Exclusion(screen=each.screen)
            if each.screen is not None
            else pb.Exclusion(instrument_id=each.instrument_id or "")
            for each in said.exclusions
        ],
        tilts=[pb.Tilt(instrument_id=each.instrument_id, shift=decimal_message(each.shift)) for each in said.tilts],
    )
    if said.tax_importance is not None:
        preferences.tax_importance.CopyFrom(decimal_message(said.tax_importance))
    message = pb.PreferencesRecord(
        account_id=record.account_id,
        sequence=record.sequence,
        preferences=preferences,
        author=record.author,
        reason=record.reason,
    )
    _times(message, record)
    return message


def _times(message: Message, record: ProfileRecord | Consent | PreferencesRecord) -> None:
    for name, instant in (("effective_time", record.effective_time), ("record_time", record.recorded_time)):
        getattr(message, name).CopyFrom(instant_message(instant))
