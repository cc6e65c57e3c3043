import pytest

from powerbench.datasets.csv_manifest import CSVManifest
from powerbench.errors import UserError
from tests.datasets.making import put, write


def test_a_list_of_paths_and_labels_is_enough(tmp_path):
    put(tmp_path / "in", ["b/1.jpg", "b/2.jpg", "a.png"])
    write(tmp_path / "in/images.csv", '\ufeffpath,label\nb/1.jpg,owl\nb/2.jpg,owl\na.png,"crow, black"\n')
    dataset = CSVManifest("in/images.csv", dataset_root=str(tmp_path))
    assert dataset.index.labels[:, 0].tolist() == [1, 1, 0]
    assert dataset.index.class_names == (("crow, black", "owl"),)
    assert dataset.index.item_names == ("b/1.jpg", "b/2.jpg", "a.png")
    assert dataset.index.roles is None
    assert dataset.image(2).mode == "RGB"
    elsewhere = CSVManifest(str(tmp_path / "in/images.csv"), images=str(tmp_path / "in"))
    assert elsewhere.checksum == dataset.checksum


def test_splits_and_roles_are_published_roles(tmp_path):
    put(tmp_path, [f"{n}.jpg" for n in range(6)])
    rows = [
        "0.jpg,a,train,",
        "1.jpg,b,val,",
        "2.jpg,c,test,query",
        "3.jpg,c,test,gallery",
        "4.jpg,c,,gallery",
        "5.jpg,d,,",
    ]
    write(tmp_path / "all.csv", "path,label,split,role\n" + "\n".join(rows) + "\n")
    dataset = CSVManifest(str(tmp_path / "all.csv"))
    assert dataset.index.roles == ("train", "val", "query", "gallery", "gallery", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\n1.jpg,a\n", "has no column 'label'; its columns are path, class"),
        ("path,label,splits\n1.jpg,a,train\n", "no column 'splits'. Did you mean split"),
        ("path,label\n", "lists no images"),
        ("", "has no column 'path'; its columns are none"),
        ("path,label\n1.jpg\n", "line 2: expected one cell for each column"),
        ("path,label\n1.jpg,a,b\n", "line 2: expected one cell for each column"),
        ("path,label\n1.jpg,\n", "line 2: label is empty"),
        ("path,label,split\n1.jpg,a,training\n", "line 2: split is train, val, test or empty, not 'training'"),
        ("path,label,role\n1.jpg,a,probe\n", "line 2: role is query, gallery or empty"),
        ("path,label,split,role\n1.jpg,a,train,query\n", "only test images have a role"),
        ("path,label\n1.jpg,a\n1.jpg,b\n", "lists 1.jpg twice"),
        ("path,label\n1.jpg,a\n./1.jpg,b\n", "lists 1.jpg twice"),
        ("path,label\n1.jpg,a\nin/..//1.jpg,b\n", "lists 1.jpg twice"),
        ("path,label,label\n1.jpg,a,b\n", "has the column 'label' twice"),
        ("path,label\n1.jpg,a\0b\n", "line 2: label holds a NUL character"),
        (f"path,label\n{'x' * 300}.jpg,a\n", "all.csv: File name too long: .*/xxx"),
        ("path,label\n2.jpg,a\n", "1 of the 1 images in .*all.csv are missing, first .*2.jpg"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path, text, message):
    put(tmp_path, ["1.jpg"])
    write(tmp_path / "all.csv", text)
    with pytest.raises(UserError, match=message):
        CSVManifest(str(tmp_path / "all.csv"))


def test_a_missing_or_binary_file_is_named(tmp_path):
    with pytest.raises(UserError, match=f"no CSV file at .*x.csv or at {tmp_path}/x.csv"):
        CSVManifest("x.csv", dataset_root=str(tmp_path))
    with pytest.raises(UserError, match="needs the CSV file"):
        CSVManifest()
    (tmp_path / "bin.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as CSV"):
        CSVManifest(str(tmp_path / "bin.csv"))
