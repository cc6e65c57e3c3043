"""Run the benchmarks named on the command line, or all of them.

``python -m benchmarks retrieval --output FOLDER``: what follows the name of a single benchmark goes to it, and
``--help`` there lists what it takes.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from itertools import takewhile

import benchmarks


def main(words: Sequence[str]) -> None:
    """Each benchmark is a module with ``main(words)``, which parses its own arguments."""
    known = sorted(part.name for part in pkgutil.iter_modules(benchmarks.__path__) if not part.name.startswith("_"))
    named = list(takewhile(lambda word: not word.startswith("-"), words))
    rest = words[len(named) :]
    if unknown := [name for name in named if name not in known]:
        sys.exit(f"there is no benchmark named {unknown[0]!r} (there are: {', '.join(known)})")
    if rest and len(named) != 1:
        sys.exit(f"{rest[0]} is for one benchmark: name it first (there are: {', '.join(known)})")
    for name in named or known:
        print(f"== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main(rest)


if __name__ == "__main__":
    main(sys.argv[1:])
