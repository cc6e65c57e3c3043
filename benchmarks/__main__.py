"""Run the benchmarks named on the command line, or all of them."""

import importlib
import pkgutil
import sys

import benchmarks

names = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_"))
for name in sys.argv[1:] or names:
    print(f"== {name}", flush=True)
    importlib.import_module(f"benchmarks.{name}").main()
