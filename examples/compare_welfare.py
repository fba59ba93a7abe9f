"""What each welfare function would pick from one set of candidates, and a page to read it on."""

import math
from pathlib import Path
from tempfile import gettempdir

from commonweal import find_agreement, read_group, write_report

group = read_group(Path(__file__).parent / "groups" / "bus-fares.toml")
options = {"model": "embedded:small", "n_candidates": 6, "on_progress": print}
result = find_agreement(group.question, group.opinions, omit=["declan"], **options)
for alpha in (0, 0.5, 1, 2, 10, math.inf):
    other = result.under(alpha=alpha)  # the same candidates: nothing is written anew
    if other.closest is None:
        continue  # no candidate is worth showing
    column = result.utilities[:, other.closest_index]
    print(
        f"{other.welfare_name:22} {other.closest.id}"
        f"  mean {column.mean():.2f}  lowest {column.min():.2f}"
    )
page = Path(gettempdir()) / "commonweal-report.html"
write_report(result, page)
print(f"Wrote {page}")
