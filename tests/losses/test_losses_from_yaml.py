"""What the configs of the fourteen say of boundaries and centres, built from their YAML alone."""

import pytest

from powerbench.methods.metric_losses import build_losses
from tests.losses.shipped import configured
from tests.reference.reality_check_facts import NO_WEIGHT_DECAY

SIZE, NUMBER_OF_CLASSES = 16, 12


def loss_of(method):
    return build_losses(configured([method]), NUMBER_OF_CLASSES, SIZE)["metric_loss"]


@pytest.mark.parametrize("method", NO_WEIGHT_DECAY)
def test_margin_losses_learn_one_boundary_or_one_for_each_class(method):
    assert loss_of(method).beta.tolist() == pytest.approx(
        [0.9] * (NUMBER_OF_CLASSES if method == "margin_class" else 1)
    )


def test_soft_triple_has_the_configured_number_of_centres():
    assert loss_of("soft_triple").fc.shape == (SIZE, NUMBER_OF_CLASSES * 10)
