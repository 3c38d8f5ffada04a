"""Traces with Opik's own SDK as a user does, reads everything back, and prints what it found as one line of JSON."""

import asyncio
import json
import os
import pathlib
import tempfile
import urllib.request

import opik
from opik import opik_context

PROJECT = "tour"
client = opik.Opik(project_name=PROJECT)
found = {"sdk": opik.__version__}


@opik.track(project_name=PROJECT, type="tool")
def inner(x):
    return x + 1


@opik.track(project_name=PROJECT, tags=["t1"], metadata={"m": 1})
def outer(x):
    opik_context.update_current_trace(thread_id="thread-1", feedback_scores=[{"name": "quality", "value": 0.75}])
    return {"r": inner(x)}


@opik.track(project_name=PROJECT)
async def asynchronous(x):
    await asyncio.sleep(0)
    return await asyncio.to_thread(inner, x)


@opik.track(project_name=PROJECT)
def generator():
    yield "a"
    yield "b"


@opik.track(project_name=PROJECT)
def failing():
    raise ValueError("wrong")


outer(41)
asyncio.run(asynchronous(1))
list(generator())
try:
    failing()
except ValueError:
    pass

trace = client.trace(name="manual", input={"q": "needle"}, tags=["a"], thread_id="thread-1")
span = trace.span(
    name="call",
    type="llm",
    model="gpt-4o-mini",
    provider="openai",
    usage={"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    input={"a": 1},
)
span.end(output={"b": 2})
trace.end(output={"answer": 42})
client.log_traces_feedback_scores([{"id": trace.id, "name": "accuracy", "value": 0.5, "reason": "half"}], project_name=PROJECT)
client.log_spans_feedback_scores([{"id": span.id, "name": "speed", "value": 1.0}], project_name=PROJECT)
opik.flush_tracker()
client.flush()

traces = client.search_traces(project_name=PROJECT, max_results=100)
by_name = {one.name: one for one in traces}
found["traces"] = sorted(by_name)
found["outer"] = {
    "input": by_name["outer"].input,
    "output": by_name["outer"].output,
    "tags": by_name["outer"].tags,
    "metadata": by_name["outer"].metadata["m"],
    "scores": [[score.name, score.value] for score in by_name["outer"].feedback_scores],
    "thread": by_name["outer"].thread_id,
}
spans = client.search_spans(project_name=PROJECT, trace_id=by_name["outer"].id)
parents = {one.name: one.parent_span_id for one in spans}
ids = {one.name: one.id for one in spans}
found["nested"] = parents["inner"] == ids["outer"] and parents["outer"] is None
found["kinds"] = {one.name: one.type for one in spans}
found["generator"] = by_name["generator"].output
found["error"] = by_name["failing"].error_info.exception_type
found["cheap"] = [one.name for one in client.search_traces(project_name=PROJECT, filter_string='feedback_scores.accuracy < 0.6')]
found["needle"] = [one.name for one in client.search_traces(project_name=PROJECT, filter_string='input contains "needle"')]
found["llm"] = [one.name for one in client.search_spans(project_name=PROJECT, filter_string='model = "gpt-4o-mini" and usage.total_tokens > 1000')]
content = client.get_trace_content(trace.id)
found["content"] = [content.name, content.output, content.usage["total_tokens"]]
# 1000 tokens at 0.15 and 100 at 0.60 dollars a million.
found["cost"] = round(content.total_estimated_cost, 9)
found["span"] = client.get_span_content(span.id).output

threads = client.get_threads_client()
found["threads"] = [[one.id, one.number_of_messages] for one in threads.search_threads(project_name=PROJECT)]
threads.log_threads_feedback_scores([{"id": "thread-1", "name": "kind", "value": 1.0}], project_name=PROJECT)
client.flush()
scored = threads.search_threads(project_name=PROJECT, filter_string='feedback_scores.kind = 1')
found["kind"] = [[one.id, one.feedback_scores[0].value] for one in scored]
if hasattr(threads, "close_thread"):
    threads.close_thread("thread-1", PROJECT)
    found["status"] = threads.search_threads(project_name=PROJECT)[0].status

client.delete_trace_feedback_score(trace.id, "accuracy")
found["afterDelete"] = [score.name for score in client.get_trace_content(trace.id).feedback_scores or []]

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "note.txt"
    path.write_text("attached" * 1000)
    with_file = client.trace(name="with file", attachments=[opik.Attachment(data=str(path), file_name="note.txt", content_type="text/plain")])
    with_file.end()
    client.flush()
    attachments = client.get_attachment_client()
    listed = attachments.get_attachment_list(project_name=PROJECT, entity_id=with_file.id, entity_type="trace")
    found["attachments"] = [[one.file_name, one.file_size] for one in listed]
    pieces = attachments.download_attachment(
        project_name=PROJECT,
        entity_type="trace",
        entity_id=with_file.id,
        file_name=listed[0].file_name,
        mime_type="text/plain",
    )
    found["attached"] = b"".join(pieces).decode() == "attached" * 1000

client.copy_traces(project_name=PROJECT, destination_project_name="copy")
client.flush()
copied = client.search_traces(project_name="copy", max_results=100)
found["copied"] = sorted(one.name for one in copied)
client.rest_client.traces.delete_traces(ids=[trace.id])
found["left"] = sorted(one.name for one in client.search_traces(project_name=PROJECT, max_results=100))
link = f"{client.config.url_override.rstrip('/')}/v1/session/redirect/projects/?trace_id={with_file.id}&path=eA=="
request = urllib.request.Request(link, headers={"Authorization": os.environ["OPIK_API_KEY"]} if "OPIK_API_KEY" in os.environ else {})
found["link"] = json.load(urllib.request.urlopen(request))["name"]
found["project"] = client.get_project(client.rest_client.projects.retrieve_project(name=PROJECT).id).name
print(json.dumps(found))
