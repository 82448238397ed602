"""All dashboards, in the order in which somebody would open them."""

from __future__ import annotations

from typing import Final

from veltrix.observability.dashboards.engines import ENGINES
from veltrix.observability.dashboards.hot_event import HOT_EVENT
from veltrix.observability.dashboards.model import Board
from veltrix.observability.dashboards.notification import NOTIFICATION
from veltrix.observability.dashboards.overview import OVERVIEW
from veltrix.observability.dashboards.processing import PROCESSING
from veltrix.observability.dashboards.registration import REGISTRATION

BOARDS: Final[tuple[Board, ...]] = (
    OVERVIEW,
    REGISTRATION,
    PROCESSING,
    NOTIFICATION,
    ENGINES,
    HOT_EVENT,
)
