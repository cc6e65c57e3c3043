"""The triplet margin loss with triplets that are found faster."""

from __future__ import annotations

from pytorch_metric_learning.losses import TripletMarginLoss as LibraryTripletMarginLoss

from powerbench.losses.triplets import TripletLoss


class TripletMarginLoss(TripletLoss, LibraryTripletMarginLoss):  # type: ignore[misc]
    """Mean over triplets that cost anything of ``max(d(a, p) - d(a, n) + margin, 0)``, of Euclidean distances.

    Source: "FaceNet: A Unified Embedding for Face Recognition and Clustering", for all triplets and distances that are
    not squared, as pytorch-metric-learning computes it, to the last bit: only finding the triplets takes less time.
    """
