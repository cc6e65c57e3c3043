"""The ways to count: which library multiplies. All of them give the same counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from powerbench.evaluation.ranking.near import Lookup
from powerbench.evaluation.ranking.structures import Job, Tally
from powerbench.evaluation.ranking.tiles import count_on_cpu

Kind = Literal["cpu", "torch", "faiss"]


@dataclass(frozen=True)
class Backend:
    """``cpu``: NumPy's BLAS and compiled loops. ``torch``: products and first comparison on ``device``. ``faiss``:
    its lists of nearest neighbours (on ``device``, if that is a GPU and faiss is built for one).

    memory: bytes that torch may use on the device beside the embeddings.
    """

    kind: Kind = "cpu"
    device: str = "cpu"
    memory: int = 2**30


ON_CPU = Backend()


def count(lookup: Lookup, job: Job, threads: int | None, backend: Backend = ON_CPU) -> list[Tally]:
    """Count all references for the queries of a job."""
    if backend.kind == "torch":
        from powerbench.evaluation.ranking.torch_tiles import count_with_torch

        return count_with_torch(lookup, job, threads, backend.device, backend.memory)
    if backend.kind == "faiss":
        from powerbench.evaluation.ranking.faiss_lists import count_with_faiss

        return count_with_faiss(lookup, job, threads, backend.device)
    return count_on_cpu(lookup, job, threads)
