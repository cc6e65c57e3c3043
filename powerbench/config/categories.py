"""The categories of the config and which keys each may hold. Plain data: nothing heavy is imported."""

from __future__ import annotations

CATEGORIES: dict[str, tuple[str, ...]] = {
    "config_dataset": ("dataset", "split_manager", "splits_to_eval", "skip_unreadable"),
    "config_eval": ("tester", "aggregator", "ensemble", "hook_container", "evaluation_metrics", "ties", "clustering"),
    "config_general": (
        "trainer",
        "num_epochs_train",
        "save_interval",
        "patience",
        "check_untrained_accuracy",
        "skip_eval_if_already_done",
        "skip_ensemble_eval_if_already_done",
        "seed",
        "confidence",
        "include_best",
        "search_strategy",
        "first_trials",
        "parallel_trials",
        "device",
        "precision",
        "channels_last",
        "threads_per_run",
        "ranking_backend",
        "checkpoint_seconds",
        "augment_on",
        "cache",
        "cache_gigabytes",
        "keep_weights",
    ),
    "config_loss_and_miners": ("loss_funcs", "sampler", "mining_funcs"),
    "config_models": ("models", "freeze_trunk", "layers_to_extract"),
    "config_optimizers": ("optimizers",),
    "config_transforms": ("transforms", "views"),
    "config_factories": (),
}
"""Category -> the keys of today's config, in the order in which files are read."""

WITHOUT_EFFECT: dict[str, tuple[str, ...]] = {
    "config_general": (
        "save_figures_on_tensorboard",
        "save_lists_in_db",
        "override_required_compatible_factories",
        "api_parser",
        "log_data_to_tensorboard",
    ),
    "config_factories": ("factories",),
}
"""Category -> keys of powerful-benchmarker that are read and change nothing."""

_OF_KEY = {key: category for group in (CATEGORIES, WITHOUT_EFFECT) for category, keys in group.items() for key in keys}


def category_of(key: str) -> str | None:
    """The category that a top-level key belongs to, or None if no category knows it."""
    return _OF_KEY.get(key)


def all_keys() -> list[str]:
    """Every top-level key."""
    return list(_OF_KEY)
