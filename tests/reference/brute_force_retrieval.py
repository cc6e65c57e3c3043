"""Retrieval metrics as their definitions read, one query and one item after another."""

import itertools

import numpy as np


def neighbours(queries, gallery, own_index, left_out=lambda i, j: False):
    """For each query the items in order of distance, as groups of equally distant ones (to 12 digits)."""
    for i, query in enumerate(np.asarray(queries, dtype=np.float64)):
        distances = ((np.asarray(gallery, dtype=np.float64) - query) ** 2).sum(axis=1)
        groups = []
        for j in np.argsort(distances):
            if (own_index and j == i) or left_out(i, j):
                continue
            if groups and distances[j] - distances[groups[-1][0]] <= 1e-12 * distances[j] + 1e-28:
                groups[-1].append(j)
            else:
                groups.append([j])
        yield groups


def of_length_one(x):
    x = np.asarray(x, dtype=np.float64)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(lengths == 0, 1, lengths)


def sum_of_precisions(relevance):
    return sum(sum(relevance[: k + 1]) / (k + 1) for k in range(len(relevance)) if relevance[k])


def value(metric, relevance):
    """A metric of one query from the relevance (True, False) of all items in order."""
    count = sum(relevance)
    base, _, k = metric.rpartition("_at_")
    if metric == "map_at_r":
        return sum_of_precisions(relevance[:count]) / count
    if metric == "r_precision":
        return sum(relevance[:count]) / count
    if metric == "map":
        return sum_of_precisions(relevance) / count
    if base == "map":
        return sum_of_precisions(relevance[: int(k)]) / min(count, int(k))
    if metric == "mrr":
        return 1 / (relevance.index(True) + 1)
    if metric == "marp":
        return sum_of_precisions(relevance[:count]) / max(1, sum(relevance[:count]))
    if metric in ("map_c", "map_1000", "map_lim"):
        length = {"map_c": count + 1, "map_1000": 1000, "map_lim": 1023}[metric]
        return sum_of_precisions(relevance[:length]) / (count + 1)
    return float(any(relevance[: int(k)]))  # precision_at_1, recall_at_k, class_recall_at_k


def orders(groups, ties):
    """Orders of relevance: the one that ``ties`` stands for, or all distinct arrangements."""
    if ties != "expected":
        return [[r for group in groups for r in sorted(group, reverse=ties == "optimistic")]]
    arrangements = [list(itertools.permutations(group)) if 0 < sum(group) < len(group) else [group] for group in groups]
    return [list(itertools.chain(*choice)) for choice in itertools.product(*arrangements)]


def brute_force(
    embeddings, labels, metrics, reference=None, reference_labels=None, ties="pessimistic", distance="euclidean",
    apart=None, reference_apart=None,
):  # fmt: skip
    """What ``measure`` should give."""
    own = reference is None
    gallery, gallery_labels, gallery_apart = (
        (embeddings, labels, apart) if own else (reference, reference_labels, reference_apart)
    )

    def left_out(i, j):
        return apart is not None and apart[i] == gallery_apart[j] and labels[i] == gallery_labels[j]

    found, classes = {metric: [] for metric in metrics}, []
    if distance == "cosine":
        embeddings, gallery = of_length_one(embeddings), of_length_one(gallery)
    for i, groups in enumerate(neighbours(embeddings, gallery, own, left_out)):
        relevance = [[bool(gallery_labels[j] == labels[i]) for j in group] for group in groups]
        if not any(itertools.chain(*relevance)):
            continue
        classes.append(labels[i])
        for metric in metrics:
            found[metric].append(np.mean([value(metric, order) for order in orders(relevance, ties)]))
    return {metric: mean(metric, np.array(values), np.array(classes)) for metric, values in found.items()}


def mean(metric, values, classes):
    if len(values) == 0:
        return float("nan")
    if metric.startswith("class_recall"):
        return float(np.mean([values[classes == label].mean() for label in np.unique(classes)]))
    return float(values.mean())
