"""Refusal of data that load with a declaration."""

from __future__ import annotations

from collections.abc import Mapping

from shelfcast.job import UserError


class DeclarationNeededError(UserError):
    """Data with two meanings, or with days instead of weeks.

    Attributes:
        proposal: Values of the declaration with which the data may load; empty if only a person knows them.
    """

    def __init__(self, message: str, proposal: Mapping[str, str]) -> None:
        super().__init__("BadData", message)
        self.proposal = proposal
