"""ArcFace with several centres a class."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from powerbench.losses.arc_face_loss import ArcFaceLoss


class SubCenterArcFaceLoss(ArcFaceLoss):
    """ArcFace on the largest of the cosines to a class's ``sub_centers`` centres; ``margin`` in degrees.

    Source: "Sub-center ArcFace: Boosting Face Recognition by Large-scale Noisy Web Faces" (ECCV 2020), without its
    second stage, which drops centres and items. Differs from pytorch-metric-learning 2.9 as our ArcFaceLoss differs
    from the library's: the margin is added to every angle.
    """

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        margin: float = 28.6,
        scale: float = 64,
        sub_centers: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes * sub_centers, embedding_size, margin=margin, scale=scale, **kwargs)
        self.num_classes = num_classes
        self.sub_centers = sub_centers

    def get_cosine(self, embeddings: Tensor) -> Tensor:
        """The cosine to the nearest centre of each class (B x classes)."""
        cosines: Tensor = self.distance(embeddings, self.W.t()).view(-1, self.num_classes, self.sub_centers)
        return cosines.amax(dim=2)
