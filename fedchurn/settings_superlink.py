"""Where a federation's link is: settings of the engine ``superlink``."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

ADDRESS = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"  # HOST:PORT, [IPv6]:PORT


class SuperlinkSettings(BaseModel):
    """How the driver reaches a link that `fedchurn federate up` started.

    Attributes:
        keys: the driver's key folder, made by `fedchurn federate keys`.
        control_address: HOST:PORT of the link's Control API.
        serverappio_address: HOST:PORT of the link's ServerAppIo API.
        num_clients: clients to wait for before the first question; all that have a key by default.
        connect_timeout_seconds: how long to wait for them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: Path | None = None
    control_address: str = Field(default="127.0.0.1:9093", pattern=ADDRESS)
    serverappio_address: str = Field(default="127.0.0.1:9091", pattern=ADDRESS)
    num_clients: int | None = Field(default=None, ge=1)
    connect_timeout_seconds: float = Field(default=60.0, gt=0)
