from powerbench.class_folders import own_names
from powerbench.datasets.finding import found_datasets
from tests.datasets.making import put, write


def test_every_dataset_says_what_lies_below_the_root(tmp_path):
    put(tmp_path, ["cub200/images/001.A/1.jpg", "vehicle-id/VehicleID_V1.0/image/1.jpg"])
    write(tmp_path / "vehicle-id/VehicleID_V1.0/train_test_split/train_list.txt", "")
    found = dict(found_datasets(str(tmp_path)))
    assert list(found) == own_names("dataset")
    assert found["CUB200"] == f"class folders in {tmp_path}/cub200/images"
    assert found["VehicleID"] == f"image/ and train_test_split/ in {tmp_path}/vehicle-id/VehicleID_V1.0"
    assert found["Cars196"] == f"not found below {tmp_path}"
    assert found["Emoji200"] == "comes with powerbench"
    assert "root: ..." in found["ImageFolder"]
