"""Where the local platform lives and listens, from environment variables.

FEDCHURN_HOME                   .fedchurn
FEDCHURN_PREFECT_PORT           4200
FEDCHURN_MLFLOW_PORT            5000
FEDCHURN_MONITORING             off; on: Prometheus and Alertmanager beside the rest
FEDCHURN_MONITORED              ecommerce=127.0.0.1:3000; CONTRACT=HOST:PORT of each service
FEDCHURN_MONITORING_KEY_FILE    file with an API key (scope admin), where services ask for one
FEDCHURN_PROMETHEUS_PORT        9090
FEDCHURN_ALERTMANAGER_PORT      9093
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedchurn.errors import SettingsError
from infra.monitoring.programs import Monitoring, Service


@dataclass(frozen=True)
class Settings:
    """Where the platform lives and listens.

    Attributes:
        monitoring: Prometheus and Alertmanager beside the rest; None: without.
    """

    home: Path
    project: Path
    prefect_port: int
    mlflow_port: int
    monitoring: Monitoring | None = None

    @property
    def prefect_url(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}"

    @property
    def prefect_api_url(self) -> str:
        return f"{self.prefect_url}/api"

    @property
    def mlflow_url(self) -> str:
        return f"http://127.0.0.1:{self.mlflow_port}"


def read_settings(environ: Mapping[str, str], project: Path | None = None) -> Settings:
    """Settings from environment variables.

    Raises:
        SettingsError: a port is not a port, or another value is not what it should be.
    """
    home = Path(environ.get("FEDCHURN_HOME", ".fedchurn")).absolute()
    return Settings(
        home=home,
        project=(project or Path(__file__).parents[1]).absolute(),
        prefect_port=_port(environ, "FEDCHURN_PREFECT_PORT", 4200),
        mlflow_port=_port(environ, "FEDCHURN_MLFLOW_PORT", 5000),
        monitoring=_monitoring(environ, home) if _is_on(environ, "FEDCHURN_MONITORING") else None,
    )


def _monitoring(environ: Mapping[str, str], home: Path) -> Monitoring:
    key_file = environ.get("FEDCHURN_MONITORING_KEY_FILE")
    return Monitoring(
        folder=home / "monitoring",
        services=_services(environ.get("FEDCHURN_MONITORED", "ecommerce=127.0.0.1:3000")),
        prometheus_port=_port(environ, "FEDCHURN_PROMETHEUS_PORT", 9090),
        alertmanager_port=_port(environ, "FEDCHURN_ALERTMANAGER_PORT", 9093),
        key_file=Path(key_file).absolute() if key_file else None,
    )


def _services(text: str) -> tuple[Service, ...]:
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    services = tuple(Service(contract, address) for contract, _, address in pairs)
    if not services or not all(s.contract and ":" in s.address for s in services):
        raise SettingsError(
            f"{text!r} names no services",
            where="FEDCHURN_MONITORED",
            next_step="give CONTRACT=HOST:PORT,..., such as ecommerce=127.0.0.1:3000",
        )
    return services


def _is_on(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "off")
    if text not in ("on", "off", ""):
        raise SettingsError(f"{text!r} is neither on nor off", where=name, next_step="give on")
    return text == "on"


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, str(default))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingsError(
            f"{text!r} is not a port", where=name, next_step=f"give 1 to 65535; default {default}"
        )
    return int(text)
