"""Weights as an npz file: float32, named, no pickles, equal bytes for equal weights."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import IntegrityError, ReleaseError
from fedchurn.learning.spec import ModelSpec, Weights


def weights_bytes(spec: ModelSpec, weights: Sequence[NDArray[np.floating]]) -> bytes:
    """The npz file of ``weights``, which come in the order of ``spec.weight_shapes()``.

    ``np.savez`` stamps every member 1980-01-01, so the bytes depend on nothing but the weights.

    Raises:
        ReleaseError: a weight has the wrong shape or is not finite.
    """
    shapes = spec.weight_shapes()
    if len(weights) != len(shapes):
        raise ReleaseError(f"the model has {len(shapes)} weights, but {len(weights)} were given")
    arrays = {
        name: np.asarray(w, dtype="<f4") for (name, _), w in zip(shapes, weights, strict=True)
    }
    for name, shape in shapes:
        problem = _problem(arrays[name], shape)
        if problem:
            raise ReleaseError(
                f"weight {name!r} {problem}",
                next_step="train again; a model with such weights cannot be released",
            )
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{n: np.ascontiguousarray(a) for n, a in arrays.items()})
    return buffer.getvalue()


def read_weights(spec: ModelSpec, content: bytes, *, where: str) -> Weights:
    """Weights of an npz file, in the order of ``spec.weight_shapes()``.

    Raises:
        IntegrityError: names, shapes or types are not those of ``spec``, a value is not finite, or
            the file holds pickles.
    """
    stored = _arrays(content, where)
    shapes = dict(spec.weight_shapes())
    if stored.keys() != shapes.keys():
        odd = ", ".join(sorted(stored.keys() ^ shapes.keys()))
        raise IntegrityError(f"weights and model.json disagree about: {odd}", where=where)
    for name, shape in shapes.items():
        problem = _problem(stored[name], shape)
        if problem or stored[name].dtype != np.float32:
            raise IntegrityError(f"weight {name!r} {problem or 'is not float32'}", where=where)
    return tuple(stored[name] for name in shapes)


def weights_digest(weights: Sequence[NDArray[np.floating]]) -> str:
    """sha256 of the shapes and float32 values; equal for equal models."""
    digest = hashlib.sha256()
    for weight in weights:
        array = np.ascontiguousarray(weight, dtype="<f4")
        digest.update(f"{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _arrays(content: bytes, where: str) -> dict[str, NDArray[np.float32]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"not an npz file without pickles: {error}", where=where) from error


def _problem(array: NDArray[np.float32], shape: tuple[int, ...]) -> str:
    if array.shape != shape:
        return f"has shape {array.shape}, not {shape}"
    if array.dtype.kind != "f":
        return f"holds {array.dtype}, not numbers of float32"
    return "" if np.isfinite(array).all() else "holds a value that is not finite"
