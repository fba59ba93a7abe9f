"""The frozen records refuse what they promise not to hold."""

from __future__ import annotations

import numpy as np
import pytest

from commonweal.errors import InputError
from commonweal.types import Rating


@pytest.mark.parametrize("value", [1, 7, None, np.int64(4)])
def test_a_rating_is_a_whole_number_on_the_scale_or_missing(value):
    rating = Rating("ana", "c01", agreement=value, quality=value)
    assert (rating.agreement, rating.quality) == (value, value)


@pytest.mark.parametrize("value", [0, 8, 4.5, 4.0, True, "4", float("nan")])
@pytest.mark.parametrize("field", ["agreement", "quality"])
def test_a_rating_that_is_none_is_refused(field, value):
    values = {"agreement": 4, "quality": 4} | {field: value}
    with pytest.raises(InputError, match=f"'c01' by participant 'ana': {field} is .* whole number"):
        Rating("ana", "c01", **values)
