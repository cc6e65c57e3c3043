"""Runs jobs, here or in worker processes, with the same results. Knows nothing of the search or of the store."""

from powerbench.execution.executor import Executor, open_executor

__all__ = ["Executor", "open_executor"]
