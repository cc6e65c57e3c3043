"""What the runs of an experiment were computed with: completed by what the driver knows, compared with earlier runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from powerbench.driver.experiment import Experiment
from powerbench.environment import environment_differences, environment_of_process
from powerbench.files import sha256_of


class Provenance:
    """Keeps the environments of an experiment's runs and notices a new one."""

    def __init__(self, experiment: Experiment) -> None:
        prepared = experiment.prepared
        assert prepared.data is not None
        self._setting = {
            "config_hash": prepared.merged.hash,
            "protocol_fingerprint": prepared.fingerprint,
            "dataset_checksum": prepared.data.checksum,
            "data": prepared.data.counts,
            "user_code": _user_code(experiment),
        }
        self._threads = prepared.config.threads_per_run
        self._known = [row.content for row in experiment.store.environments(experiment.id)]
        self._told: set[str] = set()

    def here(self) -> dict[str, Any]:
        """The environment of this process, as far as it is known before anything is computed."""
        return self.complete({**environment_of_process(), "threads": self._threads})

    def complete(self, environment: Mapping[str, Any]) -> dict[str, Any]:
        """The environment of a run with the hashes of its setting and data; this process's if it gave none."""
        return {**environment, **self._setting} if environment else self.here()

    def changes(self, environment: Mapping[str, Any]) -> list[str]:
        """What differs from the newest of the environments known if all of them differ; each change only once."""
        differing = [environment_differences(known, environment) for known in self._known]
        if not differing or not all(differing):
            return []
        new = [text for text in differing[-1] if text not in self._told]
        self._told.update(new)
        return new

    def remember(self, environment: Mapping[str, Any]) -> None:
        """A run was computed in ``environment``."""
        if environment not in self._known:
            self._known.append(dict(environment))


def _user_code(experiment: Experiment) -> dict[str, str]:
    """The SHA-256 of each copied file of the user's that the config names."""
    config = json.dumps(experiment.prepared.merged.plain())
    copies = sorted(experiment.folder.user_code.glob("*.py"))
    return {path.name: sha256_of(path) for path in copies if path.name in config}
