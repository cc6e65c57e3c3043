"""Which datasets lie below a folder."""

from __future__ import annotations

from pathlib import Path

from powerbench.class_folders import own_class, own_names

NEED_A_PLACE = {
    "ImageFolder": "any folder of class folders: {ImageFolder: {root: ...}}",
    "CSVManifest": "any CSV file of paths and labels: {CSVManifest: {file: ...}}",
    "OtherTestSet": "any two datasets: {OtherTestSet: {train_dataset: ..., test_dataset: ...}}",
}
INCLUDED = {"Emoji200": "comes with powerbench"}


def found_datasets(dataset_root: str) -> list[tuple[str, str]]:
    """Each dataset with what was found of it below ``dataset_root``; nothing is counted or opened."""
    place = Path(dataset_root).expanduser().absolute()
    return [(name, _found(name, place)) for name in own_names("dataset")]


def _found(name: str, place: Path) -> str:
    if text := INCLUDED.get(name) or NEED_A_PLACE.get(name):
        return text
    dataset = own_class("dataset", name)
    found: str | None = dataset.find(place) if dataset else None
    return found or f"not found below {place}"
