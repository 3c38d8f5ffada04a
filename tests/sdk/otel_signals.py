"""Exports traces, logs and metrics with OpenTelemetry's own SDK and exporters, and prints whether all was taken.

ENDPOINT is the server, PROTOCOL `grpc` or `http`, HEADERS those of the exporters, SERVICE the service's name.
"""

import json
import logging
import os

from opentelemetry import metrics, trace
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ENDPOINT, PROTOCOL = os.environ["ENDPOINT"], os.environ["PROTOCOL"]
HEADERS, SERVICE = json.loads(os.environ["HEADERS"]), os.environ["SERVICE"]

if PROTOCOL == "grpc":
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    def exporter(kind, signal):
        headers = {name.lower(): value for name, value in HEADERS.items()}
        return kind(endpoint=ENDPOINT, insecure=True, headers=headers, compression=grpc.Compression.Gzip)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def exporter(kind, signal):
        return kind(endpoint=f"{ENDPOINT}/otlp/v1/{signal}", headers=HEADERS, compression=Compression.Gzip)


resource = Resource.create({"service.name": SERVICE, "openinference.project.name": SERVICE})
tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(exporter(OTLPSpanExporter, "traces")))
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(exporter(OTLPLogExporter, "logs")))
logger = logging.getLogger("app")
logger.setLevel(logging.INFO)
logger.addHandler(LoggingHandler(level=logging.INFO, logger_provider=logs))
powers = View(instrument_type=Histogram, instrument_name="size", aggregation=ExponentialBucketHistogramAggregation())
meters = MeterProvider(
    resource=resource,
    metric_readers=[PeriodicExportingMetricReader(exporter(OTLPMetricExporter, "metrics"), 3_600_000)],
    views=[powers],
)
meter = meters.get_meter("tour")

with tracers.get_tracer("tour").start_as_current_span("work") as span:
    logger.warning("it is %s", "late", extra={"user": "ada"})
    logger.info("done")
    trace_id = format(span.get_span_context().trace_id, "032x")
counter = meter.create_counter("requests", unit="1", description="Requests.")
for number in range(10):
    counter.add(2, {"path": "/a"})
times, sizes = meter.create_histogram("time", unit="s"), meter.create_histogram("size")
for number in range(1, 101):
    times.record(number * 50)
    sizes.record(number)
flushed = [tracers.force_flush(), logs.force_flush(), meters.force_flush()]
for provider in (tracers, logs, meters):
    provider.shutdown()
print(json.dumps({"flushed": flushed, "trace": trace_id}))
