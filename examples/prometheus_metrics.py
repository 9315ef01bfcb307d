"""Export the metrics of a WAMP application to Prometheus at ``/metrics``.

Serve it with ``uvicorn examples.prometheus_metrics:app``. WAMP clients connect to ``ws://127.0.0.1:8000/ws``.
Requires prometheus-client.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wampasgi import Application, WAMPRoute

wamp = Application()


@wamp.procedure("math.add")
async def add(a: float, b: float) -> float:
    return a + b


# These values go up and down. All others only grow.
GAUGES = {
    ("sessions", "open"),
    ("sessions", "opening"),
    ("router", "subscriptions"),
    ("router", "registrations"),
}


class WAMPCollector(Collector):
    """Collect the metrics when Prometheus requests them, without any work in between."""

    def __init__(self, app: Application) -> None:
        self._app = app

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        failures = CounterMetricFamily(
            "wamp_authentication_failures",
            "failed authentications, by method and reason",
            labels=["realm", "method", "reason"],
        )
        for realm, groups in self._app.metrics().items():
            for name, value in groups.pop("authentication_failures").items():
                method, _, reason = name.rpartition(":")
                failures.add_metric([realm, method, reason], value)
            for group, numbers in groups.items():
                for name, value in numbers.items():
                    full_name = f"wamp_{group}_{name}"
                    if full_name not in families:
                        family = GaugeMetricFamily if (group, name) in GAUGES else CounterMetricFamily
                        families[full_name] = family(full_name, f"{group}: {name}", labels=["realm"])
                    families[full_name].add_metric([realm], value)
        yield failures
        yield from families.values()


registry = CollectorRegistry()
registry.register(WAMPCollector(wamp))


async def metrics(request: Request) -> Response:
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


app = Starlette(routes=[Route("/metrics", metrics), WAMPRoute("/ws", wamp)])
