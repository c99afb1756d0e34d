"""The preset ``ensemble``: three networks of the preset ``global``, averaged.

Each begins at other random weights. What it learns of chance differs from the others, and averages out.
"""

from __future__ import annotations

from shelfcast.models.global_model import GlobalModel


class Ensemble(GlobalModel):
    """See the module."""

    networks = 3
