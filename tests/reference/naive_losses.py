"""The fourteen losses in float64, one pair or triplet at a time, as slowly and as plainly as they are defined."""

import math

import numpy as np


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pairs(labels):
    """Ordered pairs of two items: those of one class, and those of two."""
    both = [(a, b) for a in range(len(labels)) for b in range(len(labels)) if a != b]
    return [(a, b) for a, b in both if labels[a] == labels[b]], [(a, b) for a, b in both if labels[a] != labels[b]]


def triplets(labels):
    near, far = pairs(labels)
    return [(a, p, n) for a, p in near for anchor, n in far if anchor == a]


def mean_of_positive(values):
    above = [value for value in values if value > 0]
    return sum(above) / len(above) if above else 0.0


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def cross_entropy(logits, label):
    top = max(logits)
    return math.log(sum(math.exp(logit - top) for logit in logits)) + top - logits[label]


def contrastive(rows, labels, pos_margin, neg_margin, apart=distance):
    x = unit(rows)
    near, far = pairs(labels)
    return mean_of_positive([apart(x[a], x[b]) - pos_margin for a, b in near]) + mean_of_positive(
        [neg_margin - apart(x[a], x[b]) for a, b in far]
    )


def triplet(rows, labels, margin):
    x = unit(rows)
    return mean_of_positive([distance(x[a], x[p]) - distance(x[a], x[n]) + margin for a, p, n in triplets(labels)])


def ntxent(rows, labels, temperature, chosen=None):
    """``chosen``: positive and negative pairs, instead of all."""
    x = unit(rows)
    near, far = chosen or pairs(labels)
    losses = []
    for a, p in near:
        own = x[a] @ x[p] / temperature
        gaps = [x[a] @ x[n] / temperature - own for anchor, n in far if anchor == a]
        losses.append(-math.log(1 / (1 + sum(math.exp(min(gap, 700)) for gap in gaps)) + 1e-20))
    return sum(losses) / len(losses)


def proxy_nca(rows, labels, proxies, softmax_scale):
    x, proxies = unit(rows), unit(proxies)
    logits = [[-softmax_scale * distance(row, proxy) ** 2 for proxy in proxies] for row in x]
    return np.mean([cross_entropy(row, label) for row, label in zip(logits, labels, strict=True)])


def margin(rows, labels, margin, beta):
    """``beta``: one for each class."""
    x = unit(rows)
    costs = []
    for a, p, n in triplets(labels):
        costs.append(max(distance(x[a], x[p]) - beta[labels[a]] + margin, 0))
        costs.append(max(beta[labels[a]] - distance(x[a], x[n]) + margin, 0))
    return mean_of_positive(costs)


def of_cosines(rows, labels, weights, change):
    """Cross entropy of cosines to each class's weights (a column each), changed by (cosine, whether the own class)."""
    x, w = unit(rows), unit(np.transpose(weights))
    losses = []
    for row, label in zip(x, labels, strict=True):
        losses.append(cross_entropy([change(row @ v, k == label) for k, v in enumerate(w)], label))
    return np.mean(losses)


def normalized_softmax(rows, labels, weights, temperature):
    """The library normalises the embeddings, too."""
    return of_cosines(rows, labels, weights, lambda cosine, _: cosine / temperature)


def cosface(rows, labels, weights, margin, scale):
    return of_cosines(rows, labels, weights, lambda cosine, own: scale * (cosine - margin * own))


def arcface(rows, labels, weights, margin, scale):
    """``margin`` in degrees."""
    return of_cosines(
        rows, labels, weights, lambda cosine, own: scale * math.cos(math.acos(cosine) + math.radians(margin) * own)
    )


def fastap(rows, labels, num_bins):
    """Average precision from histograms of squared distances, each item shared by the two nearest bin edges."""
    x = unit(rows)
    width = 4 / num_bins
    losses = []
    for a in range(len(x)):
        near, every = np.zeros(num_bins + 1), np.zeros(num_bins + 1)
        for b in range(len(x)):
            if a == b:
                continue
            for edge in range(num_bins + 1):
                share = max(0, 1 - abs(distance(x[a], x[b]) ** 2 - edge * width) / width)
                every[edge] += share
                near[edge] += share * (labels[a] == labels[b])
        positives = sum(labels[a] == label for label in labels) - 1
        if positives:
            precision = [near[: k + 1].sum() / every[: k + 1].sum() for k in range(num_bins + 1) if near[k] > 0]
            losses.append(1 - sum(near[near > 0] * precision) / positives)
    return np.mean(losses)


def snr_contrastive(rows, labels, pos_margin, neg_margin, regularizer_weight):
    def apart(a, b):
        return np.var(a - b, ddof=1) / np.var(a, ddof=1)

    regulariser = np.mean([abs(sum(row)) for row in unit(rows)])
    return contrastive(rows, labels, pos_margin, neg_margin, apart) + regularizer_weight * regulariser


def multi_similarity(rows, labels, alpha, beta, base, chosen=None):
    """``chosen``: positive and negative pairs, instead of all."""
    x = unit(rows)
    near, far = chosen or pairs(labels)
    losses = []
    for a in range(len(x)):
        attract = sum(math.exp(-alpha * (x[a] @ x[p] - base)) for anchor, p in near if anchor == a)
        repel = sum(math.exp(beta * (x[a] @ x[n] - base)) for anchor, n in far if anchor == a)
        losses.append(math.log(1 + attract) / alpha + math.log(1 + repel) / beta)
    return np.mean(losses)


def mined_by_multi_similarity(rows, labels, epsilon):
    """Positive pairs less similar than the most similar negative plus epsilon, and the other way round."""
    x = unit(rows)
    near, far = pairs(labels)
    similar = x @ x.T
    hard_near = [(a, p) for a, p in near if similar[a, p] < max(similar[i, n] for i, n in far if i == a) + epsilon]
    hard_far = [(a, n) for a, n in far if similar[a, n] > min(similar[i, p] for i, p in near if i == a) - epsilon]
    return hard_near, hard_far


def soft_triple(rows, labels, centers, centers_per_class, la, gamma, reg_weight, margin):
    """``centers``: one a column, those of a class side by side; ``gamma`` is a temperature."""
    x, c = unit(rows), unit(np.transpose(centers))
    classes = len(c) // centers_per_class
    losses = []
    for row, label in zip(x, labels, strict=True):
        logits = []
        for k in range(classes):
            cosines = c[k * centers_per_class : (k + 1) * centers_per_class] @ row
            weights = np.exp(cosines / gamma) / np.exp(cosines / gamma).sum()
            logits.append(la * (weights @ cosines - margin * (k == label)))
        losses.append(cross_entropy(logits, label))
    spread = 0.0
    for k in range(classes):
        own = range(k * centers_per_class, (k + 1) * centers_per_class)
        spread += sum(math.sqrt(2 + 1e-5 - 2 * c[i] @ c[j]) for i in own for j in own if i < j)
    return np.mean(losses) + reg_weight * spread / (classes * centers_per_class * (centers_per_class - 1))
