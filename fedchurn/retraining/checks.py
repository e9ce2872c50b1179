"""The checks behind a retraining decision; each says in words what was found and what is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from fedchurn.retraining.policy import RetrainPolicy
from fedchurn.retraining.situation import NewRows, PastRetrain, Situation
from fedchurn.retraining.trigger import Source, Trigger, moment

FAILED = "failed"  # outcome of a retrain that came to no verdict
WEEK_HOURS = 7 * 24.0
_INPUTS = {"covariate", "relation", "client"}  # evidence that says nothing about outcomes


@dataclass(frozen=True)
class Check:
    """One check of a decision.

    Attributes:
        name: short name.
        passed: whether it stands in the way of nothing.
        value: what was found; None when nothing is measured or it cannot be told.
        limit: what it was held against; None when there is no limit.
        sentence: the same in words.
        overridden: it failed, and a person said to retrain all the same.
    """

    name: str
    passed: bool
    value: float | None
    limit: float | None
    sentence: str
    overridden: bool = False


def all_checks(trigger: Trigger, situation: Situation, policy: RetrainPolicy) -> Iterator[Check]:
    """Every check, in the order in which a person would ask."""
    yield _enabled(policy)
    yield _duplicate(situation, policy)
    yield _running(situation)
    yield _current(trigger, situation)
    yield _cooldown(situation, policy)
    yield _budget(situation, policy)
    yield _new_rows(situation, policy)
    yield _labels(situation, policy)
    yield _new_data(situation)
    yield _learnable(trigger, situation)
    yield _comparable(situation)


def _plain(name: str, passed: bool, yes: str, no: str) -> Check:
    return Check(name, passed, None, None, yes if passed else no)


def _enabled(policy: RetrainPolicy) -> Check:
    off = "Retraining is switched off (retraining.enabled)."
    return _plain("enabled", policy.enabled, "Retraining is switched on.", off)


def _duplicate(situation: Situation, policy: RetrainPolicy) -> Check:
    before = situation.same_event
    if before is None:
        return Check("duplicate", True, None, None, "This event was not decided before.")
    if before.outcome == "retrain":
        told = f"This event led to a retrain at {before.time}."
        return Check("duplicate", False, None, None, told)
    age, limit = _hours_between(before.time, situation.time), policy.repeat_hours
    again = f"This event was skipped {age:.1f} h ago"
    if age >= limit:
        return Check("duplicate", True, age, limit, f"{again} and is still there.")
    return Check(
        "duplicate", False, age, limit, f"{again}; after {limit:g} h it is looked at anew."
    )


def _running(situation: Situation) -> Check:
    no = f"{situation.running}, so no other retrain begins now."
    return _plain("running", not situation.running, "Nothing is being trained.", no)


def _current(trigger: Trigger, situation: Situation) -> Check:
    about, live = trigger.release_id, situation.champion_release_id
    if not about:
        return Check("current", True, None, None, "It is about no release in particular.")
    stale = f"It is about {about}, but {live or 'nothing'} is in production by now."
    return _plain("current", about == live, "It is about the release in production.", stale)


def _cooldown(situation: Situation, policy: RetrainPolicy) -> Check:
    if not situation.retrains:
        return Check("cooldown", True, None, policy.cooldown_hours, "There was no retrain before.")
    last = situation.retrains[-1]
    failed = last.outcome == FAILED
    limit = policy.failure_cooldown_hours if failed else policy.cooldown_hours
    age = _hours_between(last.time, situation.time)
    told = f"The last retrain {'failed; it ' if failed else ''}began {age:.1f} h ago"
    told += " (the clock was set back since)" if age < 0 else ""
    return Check("cooldown", age >= limit, age, limit, f"{told}; {limit:g} h must lie between two.")


def _budget(situation: Situation, policy: RetrainPolicy) -> Check:
    num, limit = len(_within_a_week(situation)), policy.max_per_week
    told = f"{num} of {limit} retrains of the last 7 days are used"
    return Check("budget", num < limit, num, limit, f"{told}{'' if num < limit else ' up'}.")


def _within_a_week(situation: Situation) -> list[PastRetrain]:
    return [r for r in situation.retrains if _hours_between(r.time, situation.time) < WEEK_HOURS]


def _new_rows(situation: Situation, policy: RetrainPolicy) -> Check:
    rows, limit = situation.new_rows, policy.min_new_rows
    if not situation.champion_release_id:
        told = "Nothing is in production, so every row is new."
        return Check("new_rows", True, rows.total, limit, told)
    if rows.total is None:
        told = (
            "Which rows the model in production was trained on is not known; the source may be new."
        )
        return Check("new_rows", True, None, limit, told)
    told = (
        f"{rows.total} rows are new since the model in production: {rows.num_labelled} labels came "
        f"back, {rows.num_source} rows are new in the source; {limit} are asked for."
    )
    if rows.num_replaced:
        told += f" {rows.num_replaced} older rows of the same customers give way to newer ones."
    return Check("new_rows", rows.total >= limit, rows.total, limit, told)


def _labels(situation: Situation, policy: RetrainPolicy) -> Check:
    rows, least = situation.new_rows, policy.min_new_per_class
    scarcer = min(rows.num_positive, rows.num_labelled - rows.num_positive)
    told = (
        f"Mature labels that came back: {rows.num_positive} churned, "
        f"{rows.num_labelled - rows.num_positive} stayed{_aside(rows)}"
    )
    if not policy.require_labels:
        return Check("labels", True, scarcer, None, f"{told}; none are asked for.")
    if not situation.champion_release_id:
        return Check("labels", True, scarcer, None, f"{told}; a first model needs none.")
    if rows.num_source is None or (rows.num_source and rows.num_source >= policy.min_new_rows):
        return Check("labels", True, scarcer, None, f"{told}; the source brings its own.")
    told += f"; at least {least} of either are asked for."
    return Check("labels", scarcer >= least, scarcer, least, told)


def _aside(rows: NewRows) -> str:
    young = f"{rows.num_immature} are younger than {rows.maturity_days:g} days"
    unusable = f"{rows.num_unusable} cannot be trained on ({rows.unusable})"
    told = [young] * bool(rows.num_immature) + [unusable] * bool(rows.num_unusable)
    return f" ({', '.join(told)} and do not count)" if told else ""


def _new_data(situation: Situation) -> Check:
    same = situation.same_data_as
    no = f"The rows are exactly those of {same}: the same model would come out."
    return _plain("new_data", not same, "The rows were not trained on before.", no)


def _learnable(trigger: Trigger, situation: Situation) -> Check:
    """Labels alone say how drifted customers behave; more of the old rows cannot."""
    subjects = {str(subject) for subject in trigger.evidence.get("subjects", ())}
    only_inputs = trigger.source is Source.DRIFT and bool(subjects) and subjects <= _INPUTS
    rows = situation.new_rows
    passed = not only_inputs or rows.total is None or rows.total > 0
    no = (
        "Only inputs drifted, and no outcome of a customer has come back since: from the old rows "
        "nothing about the new ones can be learned."
    )
    yes = "There are outcomes to learn from." if only_inputs else "It is not about inputs alone."
    return _plain("learnable", passed, yes, no)


def _comparable(situation: Situation) -> Check:
    yes = "Promotion can compare the two models."
    return _plain("comparable", not situation.objection, yes, situation.objection)


def _hours_between(earlier: str, later: str) -> float:
    """Hours, negative when the clock was set back."""
    return (moment(later) - moment(earlier)) / timedelta(hours=1)
