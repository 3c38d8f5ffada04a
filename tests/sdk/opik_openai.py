"""Asks a model with OpenAI's SDK as Opik's integration tracks it, reads back what was traced, and prints it as one line of JSON.

OPENAI_BASE_URL and OPENAI_API_KEY are of the server that is asked, MODEL is the model.
"""

import json
import os

import opik
from openai import OpenAI
from opik.integrations.openai import track_openai

MODEL, PROJECT = os.environ["MODEL"], "tracked"
client = track_openai(OpenAI(), project_name=PROJECT)
question = [{"role": "user", "content": "what is it?"}]


@opik.track(project_name=PROJECT)
def agent():
    whole = client.chat.completions.create(model=MODEL, messages=question)
    stream = client.chat.completions.create(
        model=MODEL, messages=question, stream=True, stream_options={"include_usage": True}
    )
    streamed = "".join(part.choices[0].delta.content or "" for part in stream if part.choices)
    return [whole.choices[0].message.content, streamed]


answers = agent()
try:
    client.chat.completions.create(model="nobody/nothing", messages=question)
    failed = "no"
except Exception as error:
    failed = type(error).__name__
opik.flush_tracker()
reader = opik.Opik(project_name=PROJECT)
traces = reader.search_traces(project_name=PROJECT, wait_for_at_least=2, wait_for_timeout=20)
agents = [trace for trace in traces if trace.name == "agent"]
spans = reader.search_spans(project_name=PROJECT, trace_id=agents[0].id)
asked = [span for span in spans if span.type == "llm"]
errors = [trace.error_info.exception_type for trace in traces if trace.error_info]
print(json.dumps({
    "answers": answers,
    "agents": len(agents),
    "spans": sorted(span.type for span in spans),
    "models": sorted({span.model for span in asked}),
    "usage": sorted(span.usage["total_tokens"] for span in asked),
    "input": [span.input["messages"] == question for span in asked],
    "output": [span.output["choices"][0]["message"]["content"] for span in asked],
    "failed": [failed, errors],
}))
