import pytest

from powerbench.config.free import is_free


@pytest.mark.parametrize(
    ("path", "free"),
    [
        ("dataset/CUB200/root", True),
        ("dataset/CSVManifest/images", True),
        ("dataset/OtherTestSet/train_dataset/CUB200/download", True),
        ("dataset/OtherTestSet/train_dataset/CUB200", False),
        ("dataset/VehicleID/test_list", False),
        ("trainer/MetricLossOnly/dataloader_num_workers", True),
        ("trainer/MetricLossOnly/loss/root", False),
        ("split_manager/MLRCSplitManager/test_size", False),
        ("splits_to_eval", True),
    ],
)
def test_where_data_lie_may_change_and_what_they_are_may_not(path, free):
    assert is_free(path) is free
