"""Slow, obvious recomputations of what samplers select by embeddings."""

from __future__ import annotations

import numpy as np
from scipy.linalg import sqrtm
from scipy.stats import multivariate_normal, wasserstein_distance


def k_centre(points, count, start):
    """Always the point farthest from those selected, the first of equals."""
    selected = [start]
    while len(selected) < count:
        best, farthest = None, -1.0
        for place, point in enumerate(points):
            if place in selected:
                continue
            nearest = min(float(((point - points[other]) ** 2).sum()) for other in selected)
            if nearest > farthest:
                best, farthest = place, nearest
        selected.append(best)
    return selected


def d2_chances(points, selected, power):
    """The chance of each point to be selected next."""
    density = multivariate_normal(points.mean(axis=0), np.cov(points.T))
    weights = [
        0.0
        if place in selected
        else density.pdf(point) * sum(float(((point - points[s]) ** 2).sum()) for s in selected) ** power
        for place, point in enumerate(points)
    ]
    return np.array(weights) / sum(weights)


def frechet(first, second):
    """Between normal distributions fitted to two sets of points."""
    a, b = np.cov(first.T), np.cov(second.T)
    difference = first.mean(axis=0) - second.mean(axis=0)
    return float(difference @ difference + np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b).real))


def histogram_cost(big, part, of_heights):
    """Cost of a part by moments and histograms of distances."""

    def distances(points):
        return [float(np.linalg.norm(a - b)) for n, a in enumerate(points) for b in points[:n]]

    edges = np.linspace(min(distances(big)), max(distances(big)), 51)
    centres = (edges[1:] + edges[:-1]) / 2
    first, second = (np.histogram(distances(points), edges)[0] for points in (big, part))
    first, second = first / first.sum(), second / second.sum()
    between = (
        wasserstein_distance(first, second) if of_heights else wasserstein_distance(centres, centres, first, second)
    )
    means = np.linalg.norm(big.mean(axis=0) - part.mean(axis=0))
    return means + np.linalg.norm(big.std(axis=0) - part.std(axis=0)) + 75 * 2 * between
