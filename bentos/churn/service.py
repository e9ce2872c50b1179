"""BentoML service ``churn``: the release in production answers about one customer at a time.

    POST /predict   a flat JSON object with the fields of the contract
    GET  /release   the card of the release, with its id and version
    GET  /livez /readyz /metrics   BentoML's own

It starts only with a release whose files and golden rows are right. To come with the package and
serve arrows: the release inside the bento, request model and pages from the contract, batches, a
fast path, explanations, the fallback chain, hot reload, the prediction log, metrics of our own,
keys and limits. Until there are keys, bind it to this machine only, as ``make serve`` does.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.exceptions import BentoMLException
from bentoml.validators import ContentType
from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bentos.churn.customer import UnreadableBody, body_error, finding, read_customer
from fedchurn.contract.conditions import Value
from fedchurn.contract.customer_rows import canonical_row, row_columns
from fedchurn.contract.schema import RiskBand
from fedchurn.encoding.row_encoder import RowEncoder
from fedchurn.errors import FedchurnError
from fedchurn.learning.spec import predict_probability
from fedchurn.serving.release_source import load_wanted, wanted_release
from fedchurn.serving.serving_settings import read_serving_settings

logger = logging.getLogger("bentoml.churn")  # below "bentoml", the server shows it

Body = Annotated[bytes, ContentType("application/json")]  # read here, so all errors have one shape


class Prediction(BaseModel):
    """What ``POST /predict`` answers."""

    model_config = ConfigDict(protected_namespaces=())

    churn_probability: float
    churn_prediction: int
    risk_level: str
    model_version: str | None
    release: str
    warnings: list[dict[str, Any]]


def risk_level(probability: float, bands: tuple[RiskBand, ...]) -> str:
    """Name of the first band whose limit is above ``probability`` (0-1), else of the last."""
    below = (band.name for band in bands if band.below is None or probability < band.below)
    return next(below, bands[-1].name)


async def _release_page(_: Request) -> Response:
    return _json(bentoml.get_current_service().card)


def _json(content: object, status_code: int = 200) -> Response:
    text = json.dumps(content, allow_nan=False)
    return Response(text, status_code=status_code, media_type="application/json")


@bentoml.service(name="churn", workers=1, traffic={"timeout": 10})
@bentoml.asgi_app(Starlette(routes=[Route("/release", _release_page)]), path="/")
class Churn:
    """Scores customers with one release, in numpy."""

    def __init__(self) -> None:
        served = load_wanted(wanted_release(read_serving_settings(os.environ)))
        self._release, self._version = served.release, served.version
        self._encoder = RowEncoder(self._release.model.encoder)
        known = {"release": self._release.release_id, "model_version": self._version}
        self.card = {**known, **self._release.card.to_dict()}
        logger.info("release %(release)s, version %(model_version)s: golden rows agree", known)

    @bentoml.on_deployment
    @staticmethod
    def refuse_a_bad_release() -> None:
        """Before the port opens: a worker that fails to start would be started again for ever."""
        try:
            load_wanted(wanted_release(read_serving_settings(os.environ)))
        except FedchurnError as error:
            raise BentoMLException(str(error)) from error

    @bentoml.api(route="/predict", output_spec=Prediction)
    async def predict(self, body: Body, /) -> Response:
        """Churn probability of one customer, whose fields are those of the contract."""
        contract = self._release.contract
        try:
            row = canonical_row(read_customer(body), contract)
        except UnreadableBody as error:
            return _json({"errors": [body_error(error)]}, 422)
        if row.problems:
            return _json({"errors": [finding(problem) for problem in row.problems]}, 422)
        probability = self.probability(row.values)
        answer = Prediction(
            churn_probability=probability,
            churn_prediction=int(probability >= self._release.card.threshold),
            risk_level=risk_level(probability, contract.risk_bands),
            model_version=self._version,
            release=self._release.release_id,
            warnings=[finding(warning) for warning in row.warnings],
        )
        return _json(answer.model_dump())

    def probability(self, values: Mapping[str, Value]) -> float:
        """Churn probability (0-1) of canonical ``values``."""
        model = self._release.model
        columns = row_columns(values, model.contract)
        inputs = self._encoder.encode({name: column[0] for name, column in columns.items()})
        return float(predict_probability(model.spec, model.weights, inputs[np.newaxis])[0])
