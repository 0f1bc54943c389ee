"""Live web page of a run: pictures, results, events and statistics in a browser, metrics for Prometheus."""

from edgecnn.runtime.web.health import QUIET_AFTER_S
from edgecnn.runtime.web.page import LivePage, open_page

__all__ = ["QUIET_AFTER_S", "LivePage", "open_page"]
