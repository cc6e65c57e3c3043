"""What a method says of a config before anything is built."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AboutMethod:
    """``remarks``: settings that have no effect with the method, or an unexpected one, said to the user.

    ``joined_embedders``: how many outputs of the config's embedder, each of its full size, make up the embedding that
    is measured. Where it is more than one, the protocol says so: longer embeddings are another protocol.
    """

    remarks: tuple[str, ...] = ()
    joined_embedders: int = 1
