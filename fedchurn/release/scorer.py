"""An encoder and weights that belong together: from canonical rows to probabilities, in numpy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract
from fedchurn.encoding.encoder import Encoder
from fedchurn.errors import IntegrityError, ReleaseError
from fedchurn.learning.spec import ModelSpec, Weights, predict_probability
from fedchurn.release.canonical import CanonicalRow, rows_to_columns
from fedchurn.release.weights import read_weights, weights_bytes

FILES = ("encoder.json", "model.json", "weights.npz")


@dataclass(frozen=True)
class Scorer:
    """A model that can answer.

    Attributes:
        contract: what a row is.
        encoder: columns to model inputs.
        spec: shape of the model.
        weights: float32, in the order of ``spec.weight_shapes()``.
    """

    contract: Contract
    encoder: Encoder
    spec: ModelSpec
    weights: Weights

    def probabilities(self, rows: Sequence[CanonicalRow]) -> NDArray[np.float64]:
        """Churn probabilities of n canonical rows, float64 (n,)."""
        return self.score(rows_to_columns(rows, self.contract))

    def score(self, columns: Columns) -> NDArray[np.float64]:
        """Churn probabilities of canonical columns (derived features included), float64 (n,)."""
        return predict_probability(self.spec, self.weights, self.encoder.encode(columns))

    def to_files(self) -> dict[str, bytes]:
        """The three files of a scorer by name.

        Raises:
            ReleaseError: encoder, model and weights do not fit each other.
        """
        if self.encoder.num_inputs != self.spec.inputs:
            raise ReleaseError(
                f"the encoder gives {self.encoder.num_inputs} inputs, the model takes "
                f"{self.spec.inputs}",
                next_step="release the encoder that the model was trained with",
            )
        return {
            "encoder.json": json_bytes(self.encoder.to_dict()),
            "model.json": json_bytes(self.spec.to_dict()),
            "weights.npz": weights_bytes(self.spec, self.weights),
        }

    @classmethod
    def from_files(
        cls, contract: Contract, files: Mapping[str, bytes], *, folder: str = "", where: str = ""
    ) -> Scorer:
        """The scorer behind ``to_files``; ``folder`` (``fallback/``) stands before each name.

        Raises:
            IntegrityError: a file does not hold what its name says.
        """
        encoder = read_record(Encoder.from_dict, files, folder + "encoder.json", where)
        spec = read_record(ModelSpec.from_dict, files, folder + "model.json", where)
        weights = folder + "weights.npz"
        if weights not in files:
            raise IntegrityError(f"file {weights!r} is missing", where=where)
        if encoder.num_inputs != spec.inputs:
            raise IntegrityError(
                f"the encoder gives {encoder.num_inputs} inputs, the model takes {spec.inputs}",
                where=where,
            )
        stored = read_weights(spec, files[weights], where=f"{where}: {weights}")
        return cls(contract, encoder, spec, stored)


def json_bytes(record: object) -> bytes:
    """Readable JSON with equal bytes for equal records; NaN and infinity are refused."""
    text = json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def read_record(make: Any, files: Mapping[str, bytes], name: str, where: str) -> Any:
    """``make`` of the JSON object in a file; anything odd about it is an ``IntegrityError``."""
    try:
        return make(json.loads(files[name]))
    except KeyError as error:
        raise IntegrityError(f"file {name!r} or its key {error} is missing", where=where) from error
    except (ReleaseError, ValueError, TypeError, AssertionError, AttributeError) as error:
        raise IntegrityError(f"file {name!r} cannot be read: {error}", where=where) from error
