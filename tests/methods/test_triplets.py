import torch
from pytorch_metric_learning.losses import TripletMarginLoss

from powerbench.methods.triplets import Triplets, loss_with_synthetic, random_triplets
from powerbench.seeding import seeded


def test_each_item_with_a_positive_is_the_anchor_of_so_many_triplets():
    labels = torch.tensor([3, 1, 3, 3, 1, 7])
    with seeded(1):
        anchor, positive, negative = random_triplets(labels, 200)
    assert torch.equal(torch.bincount(anchor), torch.tensor([200, 200, 200, 200, 200]))  # the last has no positive
    assert (labels[anchor] == labels[positive]).all()
    assert (anchor != positive).all()
    assert (labels[anchor] != labels[negative]).all()
    counts = torch.bincount(negative[anchor == 1], minlength=6)
    assert counts[[1, 4]].tolist() == [0, 0]
    assert counts[[0, 2, 3, 5]].min() > 25  # 50 are expected of each
    assert torch.bincount(positive[anchor == 0], minlength=4)[[2, 3]].min() > 70


def test_without_positives_or_negatives_there_are_none():
    assert random_triplets(torch.tensor([1, 2, 3]), 4) is None
    assert random_triplets(torch.tensor([5, 5, 5]), 4) is None


def test_synthetic_negatives_stand_in_place_of_the_batch_s():
    generator = torch.Generator().manual_seed(0)
    rows, made = (torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (4, 2))
    labels = torch.tensor([0, 0, 1, 1])
    triplets = Triplets(torch.tensor([0, 2]), torch.tensor([1, 3]), torch.tensor([3, 0]))
    packed = torch.stack([rows[0], rows[1], made[0], rows[2], rows[3], made[1]])
    their_labels, near, far = torch.tensor([0, 0, 1, 1, 1, 0]), torch.tensor([1, 4]), torch.tensor([2, 5])
    loss = TripletMarginLoss(margin=1.0)
    expected = loss(packed, their_labels, (torch.tensor([0, 3]), near, far))
    assert torch.allclose(loss_with_synthetic(loss, rows, labels, triplets, made), expected)
    exchanged = loss(packed, their_labels, (torch.tensor([0, 3]), far, near))
    assert torch.allclose(loss_with_synthetic(loss, rows, labels, triplets, made, exchanged=True), exchanged)
    assert not torch.allclose(expected, exchanged)
