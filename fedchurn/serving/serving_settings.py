"""All settings of the service, in one frozen record; the environment fills it.

    FEDCHURN_HOME, FEDCHURN_CONTRACT, FEDCHURN_RELEASE   as everywhere in Fedchurn
    PREFECT_API_URL, PREFECT_API_AUTH_STRING             as everywhere in Prefect
    FEDCHURN_SERVE_<FIELD>                               every other field, in capitals

Lists are separated by commas. A name that is no field, or a value that does not fit, stops the
service before its port opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fedchurn.errors import SettingsError, nearest
from fedchurn.serving.access.api_keys import read_api_keys

PREFIX = "FEDCHURN_SERVE_"
PLACES = {
    "home": "FEDCHURN_HOME",
    "contract": "FEDCHURN_CONTRACT",
    "release": "FEDCHURN_RELEASE",
    "prefect_api_url": "PREFECT_API_URL",
    "prefect_api_auth": "PREFECT_API_AUTH_STRING",
}


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Texts = Annotated[tuple[str, ...], BeforeValidator(_split)]
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s?#]+)$")]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_split)]
Header = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+=[ -~]*$")]
Headers = Annotated[tuple[Header, ...], BeforeValidator(_split)]
_SECRET = ("api_keys", "trace_headers", "prefect_api_auth")


class ServingSettings(BaseModel):
    """See the module docstring.

    Attributes:
        home: folder where releases, pointers and the service's own files live.
        contract: contract whose release in production is served.
        release: release folder to serve, whatever is in production.
        reload_interval_seconds: how often each worker looks for a new release; 0 is never.
        golden_interval_seconds: how often golden rows are recomputed while serving; 0 is never.
        model_timeout_seconds: how long a model may take for a request before a fallback answers.
        explain: whether answers are explained when the request does not say.
        challenger: release folder of a second model, for shadow and A/B.
        shadow_fraction: share of answers that the challenger scores too, silently (0-1).
        ab_fraction: share of customers, by hashed id, that the challenger answers (0-1).
        log: whether predictions are logged.
        log_folder: where; ``HOME/service/CONTRACT/predictions`` by default.
        log_flush_seconds: how often gathered records are written.
        log_file_bytes: a file that is larger is closed and a new one begun.
        log_total_bytes: oldest files are deleted above this.
        log_masked_fields: columns whose values are not logged.
        drift_window_rows: newest logged predictions that ``/check-drift`` looks at.
        drift_rule: ``calibrated`` (by the release), or ``online``: what a reference system does.
        maturity_days: age from which a prediction's label counts in ``/monitoring/performance``;
            else as in the drift runner's last look (its ``feedback.maturity_days``), 30 before it.
        api_keys: ``NAME:SCOPES:SHA256`` per key, scopes joined by ``+`` (predict, admin); none
            means that no key is asked for.
        rate_limit_per_second: sustained requests per key (or address); 0 is no limit.
        rate_limit_burst: requests that may come at once on top of that.
        max_body_bytes: larger requests are refused.
        cors_origins: web origins whose pages may call the service.
        trace: where traces go; ``otlp`` sends them to ``trace_endpoint``.
        trace_endpoint: OTLP/HTTP address, such as ``http://127.0.0.1:4318/v1/traces``.
        trace_headers: ``NAME=VALUE`` per header that goes with traces, such as a token or MLflow's
            ``x-mlflow-experiment-id=1``.
        trace_fraction: share of requests that are traced (0-1).
        fast_lane: whether plain requests take the short way (docs/serving.md).
        prefect_api_url: Prefect server that is asked to decide about retraining when an alert says
            so; without it, triggers wait for the schedule of ``retrain``.
        prefect_api_auth: ``USER:PASSWORD`` of that server, where it asks for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Path(".fedchurn")
    contract: str = "ecommerce"
    release: Path | None = None
    reload_interval_seconds: float = Field(default=1.0, ge=0, le=3600)
    golden_interval_seconds: float = Field(default=60.0, ge=0, le=86_400)
    model_timeout_seconds: float = Field(default=1.0, gt=0, le=60)
    explain: bool = False
    challenger: Path | None = None
    shadow_fraction: float = Field(default=0.0, ge=0, le=1)
    ab_fraction: float = Field(default=0.0, ge=0, le=1)
    log: bool = True
    log_folder: Path | None = None
    log_flush_seconds: float = Field(default=0.25, gt=0, le=60)
    log_file_bytes: int = Field(default=16 * 2**20, ge=4096)
    log_total_bytes: int = Field(default=2**30, ge=8192)
    log_masked_fields: Texts = ()
    drift_window_rows: int = Field(default=1000, ge=30, le=1_000_000)
    drift_rule: Literal["calibrated", "online"] = "calibrated"
    maturity_days: float | None = Field(default=None, ge=0, le=3650)
    api_keys: Texts = Field(default=(), repr=False)
    rate_limit_per_second: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    rate_limit_burst: int = Field(default=20, ge=1)
    max_body_bytes: int = Field(default=4 * 2**20, ge=1024)
    cors_origins: Origins = ()
    trace: Literal["off", "otlp"] = "off"
    trace_endpoint: str = Field(default="", pattern=r"^(https?://\S+)?$")
    trace_headers: Headers = Field(default=(), repr=False)
    trace_fraction: float = Field(default=1.0, ge=0, le=1)
    fast_lane: bool = True
    prefect_api_url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    prefect_api_auth: str = Field(default="", repr=False)

    @property
    def service_folder(self) -> Path:
        """Where the service keeps its own files, absolute."""
        return self.home.resolve() / "service" / self.contract

    @property
    def workers_folder(self) -> Path:
        """Where each worker says what it serves, absolute."""
        return self.service_folder / "workers"

    @property
    def feedback_folder(self) -> Path:
        """Where ground truth is kept, absolute."""
        return self.service_folder / "feedback"

    @property
    def predictions_folder(self) -> Path:
        """Where predictions are logged, absolute."""
        return (self.log_folder or self.service_folder / "predictions").resolve()


def read_serving_settings(environ: Mapping[str, str]) -> ServingSettings:
    """The settings that ``environ`` gives; an empty value is no value.

    Raises:
        SettingsError: names the variable, its value and what is accepted.
    """
    given: dict[str, Any] = {
        field: environ[name] for field, name in PLACES.items() if environ.get(name)
    }
    fields = [f for f in ServingSettings.model_fields if f not in PLACES]
    for name, value in environ.items():
        if name.startswith(PREFIX) and value:
            given[_field(name, fields)] = value
    try:
        settings = ServingSettings.model_validate(given)
    except ValidationError as error:
        raise _unusable(error) from None
    read_api_keys(settings.api_keys)
    if settings.trace != "off" and not settings.trace_endpoint:
        raise SettingsError(
            f"{PREFIX}TRACE is {settings.trace!r}, but {PREFIX}TRACE_ENDPOINT is empty",
            where="environment",
            next_step="give the collector's address, such as http://127.0.0.1:4318/v1/traces",
        )
    return settings


def _field(name: str, fields: list[str]) -> str:
    field = name.removeprefix(PREFIX).lower()
    if field in fields:
        return field
    known = nearest(name, [PREFIX + f.upper() for f in fields])
    raise SettingsError(f"{name} is no setting of the service; {known}", where="environment")


def _unusable(error: ValidationError) -> SettingsError:
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0])
    name = PLACES.get(field, PREFIX + field.upper())
    shown = "" if field in _SECRET else f" is {first['input']!r}, which does not fit"
    return SettingsError(
        f"{name}{shown}: {first['msg']}",
        where="environment",
        next_step="docs/serving.md lists the settings of the service",
    )
