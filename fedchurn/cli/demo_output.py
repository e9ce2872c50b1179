"""What people see of a demo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedchurn.cli.drift_verb import tell_window
from fedchurn.contract.schema import Contract
from fedchurn.settings import Settings

_STEPS = (
    *("validate", "federate", "evaluate", "register", "promote"),
    *("package", "serve", "watch", "retrain"),
)
# Of a decision to retrain, what people ask about first; of a skip, what failed is told.
_TOLD_CHECKS = ("cooldown", "new_rows", "labels", "learnable")
_WINDOW_FIELDS = (
    *("window_id", "verdict", "summary", "release", "num_customers"),
    *("drifted", "warned", "evidence", "clients", "report_path"),
)

Told = dict[str, Any]


def tell_steps() -> None:
    """What comes."""
    print(f"{' -> '.join(_STEPS)}, on the generated sample")


def tell_kept(release_id: str) -> Told:
    """Nothing was trained; returns what a training would have."""
    summary = (
        f"{release_id} is in production: a retrain made it, of the sample and of labels that came"
        " back."
    )
    print("GENERATED SAMPLE: nothing here is about real customers.")
    print(f"KEPT: {summary}")
    print("  Training on the sample alone would go back, so this demo goes on from there;")
    print("  to begin anew: --set home=FOLDER")
    return {"outcome": "kept", "summary": summary, "release_id": release_id, "is_sample": True}


def tell_conditions(asked: Settings, demo: Settings) -> None:
    """What a demo does otherwise than the settings that it was given."""
    days, margin = asked.feedback.maturity_days, asked.promotion.client_margin
    lost = f"{demo.promotion.client_margin:g} of ROC-AUC by it (elsewhere {margin:g})"
    told = {
        f"labels count at once (elsewhere after {days:g} days)": "feedback",
        "the retrain leaves out baselines": "evaluation",
        "the retrain makes no bento": "packaging",
        f"a client may lose {lost}: the smallest has some 30 test rows": "promotion",
    }
    changed = [what for what, part in told.items() if getattr(asked, part) != getattr(demo, part)]
    if changed:
        print(f"Not as elsewhere: {'; '.join(changed)}.")


def tell_left_alone() -> None:
    """Why the demo ends after serving."""
    print("A model of real rows is in production here; the demo leaves it alone:")
    print("  no made-up customer is sent to it, so watch and retrain are not shown.")


def tell_normal(num_customers: int) -> None:
    print(f"WATCH: {num_customers} made-up customers as they always were are predicted.")


def tell_drifted(num_customers: int, contract: Contract, scenario: str | None) -> None:
    how = contract.sample.scenarios[scenario or ""].description
    print(f"WATCH: {num_customers} others, made up to drift: {how}")


def tell_no_scenario(contract: Contract) -> None:
    print(f"Contract {contract.contract} has no scenario of drift, so none is shown.")


def tell_watched(found: Mapping[str, Any]) -> Told:
    """What the drift runner found; returns the part that programs ask for."""
    for window in found["windows"]:
        tell_window(window)
    if not found["windows"]:
        print(f"{found['outcome'].upper().replace('_', ' ')}: {found['summary']}")
    windows = [{name: window[name] for name in _WINDOW_FIELDS} for window in found["windows"]]
    return {"outcome": found["outcome"], "summary": found["summary"], "windows": windows}


def tell_labels(num_labels: int, num_left: int) -> None:
    print(f"LABELS: what these {num_labels} really did came back: {num_left} left.")


def tell_retrain(result: Mapping[str, Any]) -> None:
    """Every decision with the checks that decided it, and what came of the training."""
    for story in result["decisions"]:
        _tell_decision(story["decision"])
    if not result["decisions"]:
        print("RETRAIN: no trigger is waiting.")
    for story in result["runs"]:
        if "run" in story:
            print(f"  trained: {story['run']['data']['story']}")
        end = story.get("outcome")
        if end:
            print(
                f"{end['outcome'].upper()}: release {end['release_id']}, version {end['version']}"
            )
            print(f"  {end['summary']}")


def _tell_decision(decision: Mapping[str, Any]) -> None:
    checks = decision["checks"]
    failed = [check for check in checks if not check["passed"]]
    told = failed or [check for check in checks if check["name"] in _TOLD_CHECKS]
    print(f"DECIDED: {decision['outcome'].upper()} ({len(checks) - len(failed)} of", end=" ")
    print(f"{len(checks)} checks passed)")
    for check in told:
        print(f"  {'passed' if check['passed'] else 'FAILED'}: {check['sentence']}")


def tell_followed(followed: Mapping[str, Any]) -> None:
    """Whether the running service answers by another release now, or why not."""
    before, now = followed["release_before"], followed["release"]
    if now != followed["in_production"]:
        print(f"NOT FOLLOWED: the running service still answers by {now}, not by", end=" ")
        print(f"{followed['in_production']}: {followed['failure'] or 'it has not said why'}")
    elif now == before:
        print(f"UNCHANGED: the running service answers by {now}, since nothing replaced it.")
    else:
        print(f"FOLLOWED: the running service answers by {now}, without a restart.")
        print("  the drifted customer with the highest risk:", end=" ")
        print(f"{followed['probability_before']:.4f} before, {followed['probability']:.4f} now")


def tell_end(told: Mapping[str, Any]) -> None:
    """How long it took, and what to try next."""
    reports = [told.get("report"), *_drift_reports(told)]
    shown = " and ".join(_shown(Path(report)) for report in reports if report)
    print(f"done in {told['seconds']:.0f} s. Open {shown}, then try:")
    print("  fedchurn history")
    print(f"  fedchurn why {(told['followed'] or told['served']['answer'])['release']}")
    print("  fedchurn train --contract ecommerce --data YOUR_FILE.xlsx")


def _drift_reports(told: Mapping[str, Any]) -> list[str]:
    """Of the last window."""
    windows = [w for found in told["watched"] or () for w in found["windows"]]
    return [window["report_path"] for window in windows[-1:]]


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
