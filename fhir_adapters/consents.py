"""Consents to research and participation in other studies."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_adapters.bundle import Item
from fhir_adapters.draft import Draft
from fhir_adapters.resources import Consent, ResearchSubject
from fhir_adapters.times import parse_time
from mscprotocol.reasons import Reason
from mscprotocol.record import Presence
from mscprotocol.timespan import TimeSpan
from mscprotocol.truth import Truth

CONSENT, WITHDRAWN, OTHER_TRIAL = "informed_consent", "consent_withdrawn", "concurrent_trial"
_ON_STUDY = ("on-study", "on-study-intervention")
_PERHAPS = ("on-study-observation", "follow-up", "pending-on-study")
_OVER = ("off-study", "withdrawn")


def read_consent(draft: Draft, item: Item, consent: Consent, others: Iterable[Item]) -> None:
    """Add what a consent to research says; one that was replaced by a newer one says nothing."""
    scopes = {coding.code for coding in consent.scope.coding} if consent.scope else set()
    if "research" not in scopes:
        draft.note(item, "the consent is not one to research and was left out")
    elif consent.status == "active":
        _add_active(draft, item, consent)
    elif consent.status == "rejected":
        _state(draft, item, CONSENT, consent, present=Truth.NOT_MET)
    elif consent.status == "inactive" and not _is_replaced(consent, others):
        _state(draft, item, CONSENT, consent, present=Truth.NOT_MET)
        _state(draft, item, WITHDRAWN, consent, present=Truth.MET)
    else:
        draft.note(item, "the consent is not in force or was replaced, and was left out")


def _add_active(draft: Draft, item: Item, consent: Consent) -> None:
    provision = consent.provision
    kind = provision.type if provision is not None else None
    if kind == "deny":
        _state(draft, item, CONSENT, consent, present=Truth.NOT_MET)
    elif kind not in (None, "permit") or (provision is not None and provision.provision):
        # Exceptions to a permission are for a person to read.
        _state(draft, item, CONSENT, consent, present=Truth.UNKNOWN, problem=Reason.NEEDS_REVIEW)
    else:
        _state(draft, item, CONSENT, consent, present=Truth.MET)


def _is_replaced(consent: Consent, others: Iterable[Item]) -> bool:
    """Whether a newer consent to research is in force."""
    given = _given(consent)
    for other in others:
        newer = other.resource
        if not isinstance(newer, Consent) or newer is consent or newer.status != "active":
            continue
        scopes = {coding.code for coding in newer.scope.coding} if newer.scope else set()
        since = _given(newer)
        if "research" in scopes and given is not None and since is not None and since.earliest > given.latest:
            return True
    return False


def _given(consent: Consent) -> TimeSpan | None:
    period = consent.provision.period if consent.provision else None
    return parse_time(consent.date_time) or parse_time(period.start if period else None)


def _state(
    draft: Draft, item: Item, name: str, consent: Consent, *, present: Truth, problem: Reason | None = None
) -> None:
    if name not in draft.knowledge.conditions:
        return
    period = consent.provision.period if consent.provision else None
    recorded = parse_time(consent.meta.last_updated if consent.meta else None)
    presence = Presence(
        name=name,
        reference=item.reference,
        time=_given(consent) if name == CONSENT else recorded,
        as_received=f"consent {consent.status}",
        problem=problem,
        present=present,
        active=Truth.NOT_MET if present is Truth.NOT_MET else present,
        ended=parse_time(period.end) if period and name == CONSENT and present is not Truth.NOT_MET else None,
    )
    draft.state(item, presence)


def read_research_subject(draft: Draft, item: Item, subject: ResearchSubject) -> None:
    """Add that the patient takes or took part in a study; which study it is, the record does not tell."""
    if OTHER_TRIAL not in draft.knowledge.conditions:
        return
    if subject.status not in (*_ON_STUDY, *_PERHAPS, *_OVER):
        draft.note(item, "the patient is not on the study and it was left out")
        return
    period = subject.period
    is_open = subject.status in _PERHAPS
    presence = Presence(
        name=OTHER_TRIAL,
        reference=item.reference,
        time=parse_time(period.start) if period else None,
        as_received=f"research subject {subject.status}",
        problem=Reason.NEEDS_REVIEW if is_open else None,
        present=Truth.UNKNOWN if is_open else Truth.MET,
        active=Truth.NOT_MET if subject.status in _OVER else Truth.UNKNOWN if is_open else Truth.MET,
        ended=parse_time(period.end) if period else None,
    )
    draft.state(item, presence)
