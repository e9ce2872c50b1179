"""The drill: the whole loop and the disasters, timed, on this machine.

    make drill                                   # or: python -m infra.drill [options]

Starts a platform of its own (Prefect server, MLflow server, worker, the service with two workers,
Prometheus, Alertmanager) in a folder of its own, sends customers as they always were and then
others, and watches what comes of it; then breaks things. One line per step. Everything is stopped
in any case. What is not as elsewhere: labels count at once (they wait 30 days), nothing waits for a
schedule, trainings leave out baselines and bento, and a client (the smallest has some 30 test rows)
may lose 0.1 of ROC-AUC.

Exit code: 0 every step held; 1 one did not, the table says which; 3 what was run held, but
Prometheus or Alertmanager is not installed, so some steps were not run; 130 interrupted.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fedchurn.errors import SettingsError
from fedchurn.settings import FeedbackSettings
from infra.drill.run import run
from infra.drill.site import Site
from infra.drill.timeline import State, Timeline

NUM_BESIDE = 2
HELD, FAILED, INCOMPLETE, INTERRUPTED = 0, 1, 3, 130
VERDICTS = {
    HELD: "every step held",
    FAILED: "NOT EVERY STEP HELD",
    INCOMPLETE: "what was run held, but NOT EVERY STEP COULD BE RUN",
    INTERRUPTED: "interrupted",
}


ABOUT = """\
Labels count at once here, where they would wait {days:g} days; nothing waits for a schedule;
trainings leave out baselines and bento, and let a client of the sample lose 0.1 of ROC-AUC.
Home: {home}
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.drill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", type=Path, help="a new folder (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="leave the home when every step held")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the same for a page")
    return parser


def _tell(line: str) -> None:
    print(line, flush=True)


def _home(asked: Path | None) -> Path:
    """A folder that holds nothing yet.

    Raises:
        SettingsError: it holds something.
    """
    if asked is None:
        return Path(tempfile.mkdtemp(prefix="fedchurn-drill-"))
    if asked.exists() and any(asked.iterdir()):
        raise SettingsError("the folder is not empty", where=str(asked), next_step="name a new one")
    return asked


def _drill(site: Site, timeline: Timeline) -> int:
    beside = ThreadPoolExecutor(NUM_BESIDE)
    try:
        run(site, timeline, beside)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing interrupts the end
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        site.close()
        beside.shutdown(cancel_futures=True)
    if timeline.having(State.FAILED):
        return FAILED
    return INCOMPLETE if timeline.having(State.NOT_RUN) else HELD


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; see the module docstring for exit codes."""
    options = _parser().parse_args(arguments)
    try:
        home = _home(options.home)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _tell(ABOUT.format(days=FeedbackSettings().maturity_days, home=home))
    timeline = Timeline(_tell)
    code = _drill(Site(home), timeline)
    _tell(f"{timeline.seconds:7.1f}  {VERDICTS[code]}")
    if options.json:
        timeline.write_json(options.json, exit_code=code, home=str(home))
    if options.markdown:
        timeline.write_markdown(options.markdown)
    if code in (HELD, INCOMPLETE) and not options.keep and options.home is None:
        shutil.rmtree(home)
    else:
        _tell(f"kept: {home}")
    return code


if __name__ == "__main__":
    sys.exit(main())
