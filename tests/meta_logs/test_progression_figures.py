"""The table and the curve of a progression."""

import io

from PIL import Image

from meta_logs.progression import fid_curve, splits_table
from split_managers.progression import HardnessSplit, Progression


def progression(walk=()):
    splits = {
        number: HardnessSplit(
            10.0 * number, ("a", "b", "c")[: 4 - number], ("x", "y", "z")[: 4 - number], ("a",), ("b", "c")[: 3 - number],
            episodes={2: ({"x": ("1", "2")},) * 3}, raw_id=str(number),
        )
        for number in (1, 2)
    }  # fmt: skip
    return Progression(splits, {"walk": list(walk)} if walk else {})


def test_the_table_has_a_row_for_each_split():
    table = splits_table(progression())
    assert table.rows == ((1, "1", 10.0, 3, 3, 1, 2, "3 of 2"), (2, "2", 20.0, 2, 2, 1, 1, "3 of 2"))


def test_the_curve_is_drawn_with_and_without_the_walk():
    sizes = []
    for walk in ((), [["0", 3.0, 3], ["1", 10.0, 3], ["2", 20.0, 2]]):
        image = Image.open(io.BytesIO(fid_curve(progression(walk))))
        sizes.append(image.size)
        assert len(image.convert("RGB").getcolors(1 << 20)) > 10
    assert sizes[1][0] > sizes[0][0]
