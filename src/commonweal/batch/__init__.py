"""Many groups: in one call, and as a batch that any number of workers share."""

from __future__ import annotations

from commonweal.batch.finding import find_agreement_async, find_agreements

__all__ = ["find_agreement_async", "find_agreements"]
