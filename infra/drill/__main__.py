"""The drill: the whole loop and the disasters, timed, on this machine.

    make drill                                   # or: python -m infra.drill [options]

Starts a platform of its own (Prefect server, MLflow server, worker, the service with two workers,
Prometheus, Alertmanager) in a folder of its own, sends customers as they always were and then
others, and watches what comes of it; then breaks things. One line per step. Everything is stopped
in any case. Exit code: 0 every step held; 1 one did not, the table says which; 3 what was run
held, but Prometheus or Alertmanager is not installed, so some steps were not run; 130 interrupted.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infra.drill.beginning import begin
from infra.drill.service import make_keys
from infra.drill.site import Site
from infra.drill.timeline import State, StepFailed, Timeline

HELD, FAILED, INCOMPLETE, INTERRUPTED = 0, 1, 3, 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.drill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", type=Path, help="an empty folder (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="leave the home when every step held")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    return parser


def _tell(line: str) -> None:
    print(line, flush=True)


def _run(site: Site, timeline: Timeline) -> int:
    try:
        begin(site, timeline, make_keys())
    except StepFailed as error:
        _tell(f"cannot go on: {error}")
    if timeline.having(State.FAILED):
        return FAILED
    return INCOMPLETE if timeline.having(State.NOT_RUN) else HELD


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; see the module docstring for exit codes."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = options.home or Path(tempfile.mkdtemp(prefix="fedchurn-drill-"))
    timeline = Timeline(_tell)
    site = Site(home)
    code = INTERRUPTED
    try:
        code = _run(site, timeline)
    except KeyboardInterrupt:
        _tell("interrupted")
    finally:
        site.close()
    if options.json:
        timeline.write_json(options.json, exit_code=code, home=str(home))
    if code == HELD and not options.keep and options.home is None:
        shutil.rmtree(home)
    else:
        _tell(f"kept: {home}")
    return code


if __name__ == "__main__":
    sys.exit(main())
