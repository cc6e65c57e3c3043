"""Retrieval metrics as their definitions read, one query and one item after another."""

import itertools

import numpy as np


def neighbours(queries, gallery, own_index):
    """For each query the items in order of distance, as groups of equally distant ones (to 12 digits)."""
    for i, query in enumerate(np.asarray(queries, dtype=np.float64)):
        distances = ((np.asarray(gallery, dtype=np.float64) - query) ** 2).sum(axis=1)
        groups = []
        for j in np.argsort(distances):
            if own_index and j == i:
                continue
            if groups and distances[j] - distances[groups[-1][0]] <= 1e-12 * distances[j]:
                groups[-1].append(j)
            else:
                groups.append([j])
        yield groups


def value(metric, relevance):
    """A metric of one query from the relevance (True, False) of all items in order."""
    count = sum(relevance)
    if metric == "map_at_r":
        return sum(sum(relevance[: k + 1]) / (k + 1) for k in range(count) if relevance[k]) / count
    if metric == "r_precision":
        return sum(relevance[:count]) / count
    if metric == "precision_at_1":
        return float(relevance[0])
    return float(any(relevance[: int(metric.removeprefix("recall_at_"))]))


def orders(groups, ties):
    """Orders of relevance: the one that ``ties`` stands for, or all distinct arrangements."""
    if ties != "expected":
        return [[r for group in groups for r in sorted(group, reverse=ties == "optimistic")]]
    arrangements = [list(itertools.permutations(group)) for group in groups]
    return [list(itertools.chain(*choice)) for choice in itertools.product(*arrangements)]


def brute_force(embeddings, labels, metrics, reference=None, reference_labels=None, ties="pessimistic"):
    """What ``measure`` should give."""
    own = reference is None
    gallery, gallery_labels = (embeddings, labels) if own else (reference, reference_labels)
    found = {metric: [] for metric in metrics}
    for i, groups in enumerate(neighbours(embeddings, gallery, own)):
        relevance = [[bool(gallery_labels[j] == labels[i]) for j in group] for group in groups]
        if not any(itertools.chain(*relevance)):
            continue
        for metric in metrics:
            found[metric].append(np.mean([value(metric, order) for order in orders(relevance, ties)]))
    return {metric: float(np.mean(values)) if values else float("nan") for metric, values in found.items()}
