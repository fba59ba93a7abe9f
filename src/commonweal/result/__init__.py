"""What ``find_agreement`` returns: what it says, what can be done with it, how it is stored."""

from commonweal.result.agreement import Agreement

__all__ = ["Agreement"]
