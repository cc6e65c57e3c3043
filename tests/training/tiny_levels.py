"""The tiny world with super-classes. A user's file, as a dataset outside of powerbench is."""

import numpy as np

from split_managers.contract import DatasetIndex
from tests.training.tiny import TinyImages


class TinyLevels(TinyImages):
    """Twenty-four classes of six images; three super-classes."""

    def __init__(self) -> None:
        super().__init__(classes=24)
        labels = self.index.labels[:, 0]
        names = (*self.index.class_names, ("first", "second", "third"))
        levels = np.stack([labels, labels % 3], axis=1)
        self.index = DatasetIndex(labels=levels, class_names=names, item_names=self.index.item_names)
