"""The local platform: Prefect server, MLflow server and a Prefect worker, as plain processes.

    python -m infra.platform up [--free-ports] [--monitoring] [--json]
    python -m infra.platform status [--json]
    python -m infra.platform down [--json]

``up`` returns when all are healthy and prefect.yaml is deployed, or stops what it started and says
whose fault it was. With ``--monitoring`` (or FEDCHURN_MONITORING=on) Prometheus and Alertmanager
run beside them. Home is FEDCHURN_HOME (./.fedchurn); infra/settings.py lists all variables.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from fedchurn.errors import BusyError, FedchurnError
from infra import stack
from infra.settings import Settings, read_settings
from infra.stack import Platform


def _report(platform: Platform | None, settings: Settings) -> dict[str, object]:
    at = stack.located(settings, platform)
    health = stack.health(platform, settings) if platform else {}
    watching = at.monitoring if platform and platform.prometheus_port else None
    return {
        "running": bool(health) and all(health.values()),
        "healthy": health,
        "pids": {started.name: started.pid for started in platform.started} if platform else {},
        "prefect_api_url": at.prefect_api_url,
        "mlflow_tracking_uri": at.mlflow_url,
        "prometheus_url": watching.prometheus_url if watching else None,
        "alertmanager_url": watching.alertmanager_url if watching else None,
        "home": str(settings.home),
    }


def _describe(platform: Platform, settings: Settings) -> str:
    at = stack.located(settings, platform)
    watching = ""
    if at.monitoring is not None and platform.prometheus_port:
        watching = f"""
  Prometheus    {at.monitoring.prometheus_url}   (configuration: {at.monitoring.folder})
  Alertmanager  {at.monitoring.alertmanager_url}"""
    return f"""\
  Prefect       {at.prefect_url}   (deployments of prefect.yaml, pool {stack.POOL}, one worker)
  MLflow        {at.mlflow_url}{watching}
  logs          {settings.home / "logs"}
Use them from this shell:
  export PREFECT_API_URL={at.prefect_api_url}
  export MLFLOW_TRACKING_URI={at.mlflow_url}
Then, for example:
  {Path(sys.executable).parent / "prefect"} deployment ls
Stop everything: make down"""


def _up(settings: Settings, options: argparse.Namespace) -> tuple[str, bool]:
    print("Prefect server, MLflow server, worker: 15 to 60 seconds ...", flush=True)
    platform, already = stack.up(settings, os.environ, free_ports=options.free_ports)
    headline = "already up and healthy" if already else "up and healthy"
    return f"{headline}\n{_describe(platform, settings)}", True


def _status(settings: Settings) -> tuple[str, bool]:
    platform = stack.read_platform(settings.home)
    if platform is None:
        return "not running; start it with: make up", False
    health = stack.health(platform, settings)
    lines = [f"  {name:12} {'healthy' if good else 'NOT HEALTHY'}" for name, good in health.items()]
    return "\n".join([*lines, _describe(platform, settings)]), all(health.values())


def _down(settings: Settings) -> tuple[str, bool]:
    stopped = stack.down(settings)
    return (f"stopped: {', '.join(stopped)}" if stopped else "nothing was running"), True


def _obey(settings: Settings, options: argparse.Namespace) -> tuple[str, bool]:
    if options.verb == "up":
        return _up(settings, options)
    return _status(settings) if options.verb == "status" else _down(settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.platform",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=("up", "status", "down"))
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--free-ports", action="store_true", help="up: take any free ports")
    parser.add_argument(
        "--monitoring", action="store_true", help="up: Prometheus and Alertmanager as well"
    )
    parser.add_argument("--project", type=Path, help="folder of prefect.yaml (default: this one)")
    return parser


def _run(options: argparse.Namespace) -> int:
    environ = {**os.environ, **({"FEDCHURN_MONITORING": "on"} if options.monitoring else {})}
    settings = read_settings(environ, options.project)
    settings.home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.home / "platform.lock", timeout=0):
            text, good = _obey(settings, options)
            print(text)
            if options.json:
                print(json.dumps(_report(stack.read_platform(settings.home), settings)))
    except Timeout:
        raise BusyError(
            "another up or down is under way", where=str(settings.home), next_step="wait for it"
        ) from None
    return 0 if good else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code is the error's, or 1 when ``status`` finds something unhealthy."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an interrupted up cleans up
    try:
        return _run(options)
    except FedchurnError as error:
        print(f"error: {error}", file=sys.stderr)
        if options.json:
            print(json.dumps(error.to_dict()))
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; what was started is stopped again", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
