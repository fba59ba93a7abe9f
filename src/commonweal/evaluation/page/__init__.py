"""An evaluation as one self-contained page, and as JSON: both from the same figures."""

from commonweal.evaluation.evaluate import headlines
from commonweal.evaluation.page.render import as_json, render_page, write_json, write_page

__all__ = ["as_json", "headlines", "render_page", "write_json", "write_page"]
