"""Two ways of training that ask much of the loop. Each is a user's file, as a method outside of powerbench is."""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from powerbench.methods.contract import Needs, PlannedBatch, Update, module_parameters
from powerbench.models.building import build_embedder


class Masks(nn.Module):
    """One weight vector for each cluster."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)


class ClusterHeads:
    """Clusters the training embeddings every epoch; a batch comes from one cluster and trains that cluster's head.

    k-means starts from the centroids of the epoch before. From ``split_at`` on there are twice as many
    clusters and masks, so parameters are exchanged in the midst of training.
    """

    def __init__(self, config, facts, trunk, clusters: int = 2, split_at: int = 3) -> None:
        width = facts.widths["pooled"]
        self.needs = Needs(held_out=np.array([0, 7]))
        heads = [build_embedder(config, width, seed=facts.embedder_seed + head) for head in range(2)]
        size = heads[0](torch.zeros(1, width)).shape[1]
        masks = Masks(torch.rand(clusters, size))
        self.modules = nn.ModuleDict({"embedder": nn.ModuleList(heads), "masks": masks})
        self.clusters, self.split_at, self.sizes = clusters, split_at, []
        self.centroids = torch.empty(0)

    def param_groups(self):
        return module_parameters(self.modules)

    def plan_epoch(self, context):
        if context.epoch == self.split_at:
            self.clusters *= 2
            self.modules["masks"] = Masks(self.modules["masks"].weights.detach().repeat_interleave(2, dim=0))
            self.centroids = torch.empty(0)
        assert len(context.embed("held_out")) == 2
        points = context.embed("train")
        assert torch.equal(points[[0, 7]], context.embed("held_out"))
        generator = context.generator("k-means")
        if len(self.centroids) == 0:
            self.centroids = points[generator.choice(len(points), self.clusters, replace=False)].clone()
        for _ in range(3):
            assigned = torch.cdist(points, self.centroids).argmin(1)
            for cluster in range(self.clusters):
                if (assigned == cluster).any():
                    self.centroids[cluster] = points[assigned == cluster].mean(0)
        self.sizes = torch.bincount(assigned, minlength=self.clusters).tolist()
        plan = []
        for cluster in range(self.clusters):
            members = np.flatnonzero(assigned.numpy() == cluster)
            if len(members) > 2:
                batches = context.sampler_plan(members, batches=2)
                plan += [PlannedBatch(batch.positions, tag=str(cluster)) for batch in batches]
        assert not {0, 7} & {int(p) for batch in plan for p in batch.positions}
        return plan

    def losses(self, batch, outputs):
        cluster = int(batch.tag)
        head = self.modules["embedder"][cluster % 2]
        embeddings = F.normalize(head(outputs[0]["pooled"])) * self.modules["masks"].weights[cluster].relu()
        distances = torch.cdist(embeddings, embeddings)
        alike = batch.labels[:, None] == batch.labels[None]
        loss = distances[alike].mean() + (1 - distances[~alike]).relu().sum() / len(distances)
        yield Update({"pairs": loss, "size": embeddings.pow(2).mean()}, {"size": 0.1})

    def after_step(self, batch):
        self.last_tag = batch.tag

    def end_epoch(self, context):
        assert context.embed("train", "head_1").shape[1] == self.modules["masks"].weights.shape[1]
        assert context.embed("train", "pooled").shape[1] == 6

    def embeddings(self, outputs):
        heads = {f"head_{n}": head(outputs["pooled"]) for n, head in enumerate(self.modules["embedder"])}
        return {"joined": torch.cat(list(heads.values()), dim=1), **heads}

    def state(self):
        return {"clusters": self.clusters, "centroids": self.centroids, "sizes": self.sizes}

    def load_state(self, state):
        self.clusters, self.centroids, self.sizes = state["clusters"], state["centroids"], state["sizes"]
        self.modules["masks"] = Masks(torch.zeros(self.clusters, self.modules["masks"].weights.shape[1]))


class Queue(nn.Module):
    """The newest keys, in a ring."""

    def __init__(self, length: int, size: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(length, size)))


class MomentumQueue:
    """Two views, a momentum copy of the embedder that fills a queue, and an adversary with updates of its own."""

    def __init__(self, config, facts, trunk, momentum: float = 0.9, length: int = 20) -> None:
        width = facts.widths["pooled"]
        self.needs = Needs(views=2)
        self.trunk = trunk
        embedder = build_embedder(config, width, seed=facts.embedder_seed)
        slow = copy.deepcopy(embedder).requires_grad_(False)
        size = embedder(torch.zeros(1, width)).shape[1]
        adversary = nn.Linear(size, facts.classes)
        modules = {"embedder": embedder, "slow": slow, "queue": Queue(length, size), "adversary": adversary}
        self.modules = nn.ModuleDict(modules)
        self.momentum, self.place = momentum, 0

    def param_groups(self):
        return module_parameters(self.modules)

    def plan_epoch(self, context):
        return context.sampler_plan()

    def losses(self, batch, outputs):
        query = F.normalize(self.modules["embedder"](outputs[0]["pooled"]))
        with torch.no_grad():
            self.key = F.normalize(self.modules["slow"](outputs[1]["pooled"]))
        noise = torch.rand(()) / (1 + batch.iteration)
        scores = torch.cat([(query * self.key).sum(1, keepdim=True), query @ self.modules["queue"].keys.T], dim=1)
        contrast = F.cross_entropy(scores / 0.2, torch.zeros(len(query), dtype=torch.long)) + 0 * noise
        fooled = -F.cross_entropy(self.modules["adversary"](query + noise), batch.labels)
        yield Update({"contrast": contrast, "fooled": fooled}, {"fooled": 0.1}, optimizers=("trunk", "embedder"))
        with torch.no_grad():
            again = F.normalize(self.modules["embedder"](self.trunk(batch.inputs[0])["pooled"]))
        guessed = F.cross_entropy(self.modules["adversary"](again), batch.labels)
        yield Update({"guessed": guessed}, optimizers=("adversary",))

    def after_step(self, batch):
        with torch.no_grad():
            pairs = zip(self.modules["slow"].parameters(), self.modules["embedder"].parameters(), strict=True)
            for slow, fast in pairs:
                slow.lerp_(fast, 1 - self.momentum)
            keys = self.modules["queue"].keys
            places = (self.place + torch.arange(len(self.key))) % len(keys)
            keys[places] = self.key
        self.place = int((self.place + len(self.key)) % len(keys))

    def end_epoch(self, context):
        pass

    def embeddings(self, outputs):
        return {"embedding": self.modules["embedder"](outputs["pooled"])}

    def state(self):
        return {"place": self.place}

    def load_state(self, state):
        self.place = state["place"]
