"""The newer losses in float64, item by item as their papers define them; torch only for its gradients."""

import math

import torch


def unit(rows):
    return rows / rows.norm(dim=1, keepdim=True)


def positives(labels, a):
    return [b for b in range(len(labels)) if b != a and labels[b] == labels[a]]


def negatives(labels, a):
    return [b for b in range(len(labels)) if labels[b] != labels[a]]


def mean(values):
    return sum(values) / len(values)


def cross_entropy(logits, label):
    return torch.log(sum(torch.exp(logit) for logit in logits)) - logits[label]


def proxy_anchor(rows, labels, proxies, margin, alpha):
    x, p = unit(rows), unit(proxies)
    near, far = [], []
    for k in range(len(p)):
        own = [x[i] @ p[k] for i, label in enumerate(labels) if label == k]
        other = [x[i] @ p[k] for i, label in enumerate(labels) if label != k]
        if own:
            near.append(torch.log(1 + sum(torch.exp(-alpha * (s - margin)) for s in own)))
        far.append(torch.log(1 + sum(torch.exp(alpha * (s + margin)) for s in other)))
    return mean(near) + mean(far)


def supcon(rows, labels, temperature):
    x = unit(rows)
    losses = []
    for a in range(len(x)):
        others = torch.log(sum(torch.exp(x[a] @ x[b] / temperature) for b in range(len(x)) if b != a))
        if own := positives(labels, a):
            losses.append(-mean([x[a] @ x[p] / temperature - others for p in own]))
    return mean(losses)


def circle(rows, labels, m, gamma):
    x = unit(rows)
    losses = []
    for a in range(len(x)):
        if not positives(labels, a):
            continue
        far = near = 0
        for n in negatives(labels, a):
            s = x[a] @ x[n]
            far = far + torch.exp(gamma * torch.relu(s.detach() + m) * (s - m))
        for p in positives(labels, a):
            s = x[a] @ x[p]
            near = near + torch.exp(-gamma * torch.relu(1 + m - s.detach()) * (s - (1 - m)))
        losses.append(torch.log(1 + far * near))
    return mean(losses)


def step(a, b, temperature):
    return 1 / (1 + torch.exp(-(a - b) / temperature))


def smooth_ap(rows, labels, temperature):
    x = unit(rows)
    similar = x @ x.T
    losses = []
    for q in range(len(x)):
        own = [q, *positives(labels, q)]
        if len(own) == 1:
            continue
        precisions = []
        for i in own:
            among_own = 1 + sum(step(similar[q, j], similar[q, i], temperature) for j in own if j != i)
            among_all = 1 + sum(step(similar[q, j], similar[q, i], temperature) for j in range(len(x)) if j != i)
            precisions.append(among_own / among_all)
        losses.append(1 - mean(precisions))
    return mean(losses)


def pnp(rows, labels, variant, anneal, b, alpha):
    x = unit(rows)
    similar = x @ x.T
    penalties = {
        "O": lambda r: r,
        "Iu": lambda r: (1 + r) * torch.log(1 + r),
        "Ib": lambda r: (b * r - torch.log(1 + b * r)) / b**2,
        "Ds": lambda r: torch.log(1 + r),
        "Dq": lambda r: 1 - 1 / (1 + r) ** alpha,
    }
    losses = []
    for q in range(len(x)):
        own = [q, *positives(labels, q)]
        if len(own) > 1:
            above = [sum(step(similar[q, n], similar[q, i], anneal) for n in negatives(labels, q)) for i in own]
            losses.append(mean([penalties[variant](r) for r in above]))
    return mean(losses)


def recall_at_k(rows, labels, temperature, rank_temperature, k_values):
    x = unit(rows)
    similar = x @ x.T
    losses = []
    for q in range(len(x)):
        own = positives(labels, q)
        if not own:
            continue
        ranks = []
        for i in own:
            ranks.append(
                1 + sum(step(similar[q, j], similar[q, i], temperature) for j in range(len(x)) if j not in (i, q))
            )
        recalls = []
        for k in k_values:
            found = sum(step(torch.tensor(float(k)), rank, rank_temperature) for rank in ranks)
            recalls.append(torch.clamp(found, max=k) / min(k, len(own)))
        losses.append(1 - mean(recalls))
    return mean(losses)


def sub_center_arcface(rows, labels, centers, margin, scale, sub_centers):
    """``centers``: one a column, those of a class side by side; ``margin`` in degrees."""
    x, c = unit(rows), unit(centers.T)
    losses = []
    for row, label in zip(x, labels, strict=True):
        logits = []
        for k in range(len(c) // sub_centers):
            cosine = max((c[k * sub_centers + i] @ row for i in range(sub_centers)), key=lambda own: own.item())
            logits.append(
                scale * (torch.cos(torch.acos(cosine) + math.radians(margin)) if k == label else cosine),
            )
        losses.append(cross_entropy(logits, label))
    return mean(losses)


def instance(rows, labels, weights):
    return mean([cross_entropy([row @ w for w in weights], label) for row, label in zip(rows, labels, strict=True)])


def p2s_grad(rows, labels, weights):
    x, w = unit(rows), unit(weights)
    return mean(
        [
            sum((row @ v - int(k == label)) ** 2 for k, v in enumerate(w)) / 2
            for row, label in zip(x, labels, strict=True)
        ]
    )


def with_threshold_consistent_margin(rows, labels, lambda_plus, lambda_minus, margin_plus, margin_minus):
    x = unit(rows)
    every = range(len(x))
    near = [margin_plus - x[a] @ x[p] for a in every for p in positives(labels, a) if x[a] @ x[p] <= margin_plus]
    far = [x[a] @ x[n] - margin_minus for a in every for n in negatives(labels, a) if x[a] @ x[n] >= margin_minus]
    return lambda_plus * mean(near) + lambda_minus * mean(far)


def with_variance_covariance(rows, labels, variance_mu, covariance_v):
    del labels
    size = rows.shape[1]
    columns = [column - column.mean() for column in rows.T]
    variance = covariance = 0
    for i in range(size):
        spread = torch.sqrt((columns[i] ** 2).sum() / (len(rows) - 1) + 1e-4)
        variance = variance + torch.relu(1 - spread) / size
        for j in range(size):
            if i != j:
                covariance = covariance + (columns[i] @ columns[j] / (len(rows) - 1)) ** 2 / size
    return variance_mu * variance + covariance_v * covariance


def contrastive_with_queue(rows, labels, queue, queued, pos_margin, neg_margin):
    """Each row against each of the queue's and against each other row of the batch."""
    x, y = unit(rows), unit(torch.cat([queue, rows.detach()]))
    labels_of_y = [*queued, *labels]
    near, far = [], []
    for a in range(len(x)):
        for b in range(len(y)):
            if b == len(queue) + a:
                continue
            apart = torch.sqrt(((x[a] - y[b]) ** 2).sum())
            if labels[a] == labels_of_y[b]:
                near.append(apart - pos_margin)
            else:
                far.append(neg_margin - apart)
    return sum(mean([value for value in side if value > 0]) for side in (near, far))


WITH_WEIGHTS = ("proxy_anchor", "sub_center_arcface", "instance", "p2s_grad")
"""Those that learn weights of their own: one item a class in a batch; all others four."""
