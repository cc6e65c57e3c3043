import pytest

from powerbench.store.columns import to_json


def test_json_takes_frozen_configs_and_refuses_objects():
    from powerbench.config.schema import freeze

    assert to_json(freeze({"a": [1, {"b": "é"}], "c": None})) == '{"a": [1, {"b": "é"}], "c": null}'
    with pytest.raises(TypeError, match="object cannot be stored"):
        to_json({"a": object()})
