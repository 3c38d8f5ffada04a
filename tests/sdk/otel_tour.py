"""Traces with OpenTelemetry's own SDK and exporter, reads everything back, and prints what it found as one line of JSON.

STEAD_URL is the server, STEAD_KEY a key or empty, DOOR the path before /v1/traces, HEADERS those of the exporter.
"""

import json
import os
import urllib.parse
import urllib.request

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

URL, KEY, DOOR = os.environ["STEAD_URL"], os.environ["STEAD_KEY"], os.environ["DOOR"]
PROJECT = "otel" + DOOR.replace("/", "-")

provider = TracerProvider(
    resource=Resource.create({"service.name": "shop", "openinference.project.name": PROJECT})
)
exporter = OTLPSpanExporter(
    endpoint=f"{URL}{DOOR}/v1/traces",
    headers=json.loads(os.environ["HEADERS"]),
    compression=Compression.Gzip,
)
provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=16))
tracer = provider.get_tracer("tour")

with tracer.start_as_current_span("agent") as agent:
    agent.set_attribute("openinference.span.kind", "AGENT")
    agent.set_attribute("input.value", "question")
    agent.set_attribute("output.value", "answer")
    agent.set_attribute("session.id", "session-1")
    for number in range(40):
        with tracer.start_as_current_span(f"chat {number}", kind=trace.SpanKind.CLIENT) as chat:
            chat.set_attribute("gen_ai.operation.name", "chat")
            chat.set_attribute("gen_ai.provider.name", "openai")
            chat.set_attribute("gen_ai.request.model", "gpt-4o-mini")
            chat.set_attribute("gen_ai.usage.input_tokens", 1000)
            chat.set_attribute("gen_ai.usage.output_tokens", 100)
            chat.set_attribute("gen_ai.response.finish_reasons", ["stop"])
    try:
        with tracer.start_as_current_span("tool") as tool:
            tool.set_attribute("gen_ai.operation.name", "execute_tool")
            raise ValueError("no such place")
    except ValueError:
        pass
flushed = provider.force_flush()
provider.shutdown()


def read(path):
    request = urllib.request.Request(f"{URL}/opik/api/v1/private{path}")
    if KEY:
        request.add_header("Authorization", KEY)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


name = urllib.parse.quote(PROJECT)
traces = read(f"/traces?project_name={name}")
spans = read(f"/spans?project_name={name}&size=100")["content"]
[own] = traces["content"]
by_name = {span["name"]: span for span in spans}
chats = [span for span in spans if span["type"] == "llm"]
print(json.dumps({
    "flushed": flushed,
    "traces": traces["total"],
    "trace": [own["name"], own["input"], own["output"], own["thread_id"], own["span_count"]],
    "spans": len(spans),
    "joined": all(span["parent_span_id"] == by_name["agent"]["id"] for span in spans if span["name"] != "agent"),
    "chats": len(chats),
    "usage": own["usage"],
    "cost": round(own["total_estimated_cost"], 9),
    "tool": [by_name["tool"]["type"], by_name["tool"]["error_info"]["exception_type"]],
    "service": by_name["tool"]["metadata"]["service.name"],
    "id": by_name["agent"]["metadata"]["otel.trace_id"] == format(agent.get_span_context().trace_id, "032x"),
}))
