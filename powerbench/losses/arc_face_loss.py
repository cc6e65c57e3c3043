"""ArcFace as it was published: the margin is added to every angle."""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import ArcFaceLoss as LibraryArcFaceLoss
from torch import Tensor

NEAR_ONE = 1 - 1e-7
"""Cosines are kept within this bound of either sign: at 1 the angle has no finite gradient."""


class ArcFaceLoss(LibraryArcFaceLoss):  # type: ignore[misc]
    """Cross entropy over ``scale * cos(angle to each class's weights)``, the own class's angle ``margin`` larger.

    ``margin`` is in degrees. Source: "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", equation 3; as
    pytorch-metric-learning 0.9.88 computed it for "A Metric Learning Reality Check". Versions of that library since
    1.0 take ``cos(angle) - margin * sin(margin)`` where angle and margin exceed 180 degrees together, which the
    paper's formula does not, and let a cosine of 1 give gradients that are not numbers.
    """

    def get_angles(self, cosine_of_target_classes: Tensor) -> Tensor:
        """The angles in radians."""
        return torch.acos(cosine_of_target_classes.clamp(-NEAR_ONE, NEAR_ONE))

    def modify_cosine_of_target_classes(self, cosine_of_target_classes: Tensor) -> Tensor:
        """The cosines of the larger angles."""
        return torch.cos(self.get_angles(cosine_of_target_classes) + self.margin)
