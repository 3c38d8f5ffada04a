"""Asks `p/m` through every SDK in its own dialect, whole, streamed and with a tool, and prints what came as JSON.

Variables: STEAD_URL, the address without a path; STEAD_KEY, an API key. The provider behind `p/m` answers "Paris", in
the two pieces "Par" and "is", and calls `weather` with {"city": "Paris"} when there are tools and no result of one yet.
"""

import json
import os
import sys
import time

import anthropic
import ollama
import openai
from google import genai
from google.genai import types
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

URL, KEY, MODEL = os.environ["STEAD_URL"], os.environ["STEAD_KEY"], "p/m"
QUESTION = "What is the capital of France?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
DESCRIPTION = "Tells the weather."


def openai_chat():
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    messages = [{"role": "user", "content": QUESTION}]
    whole = client.chat.completions.create(model=MODEL, messages=messages)
    stream = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    tools = [{"type": "function", "function": {"name": "weather", "description": DESCRIPTION, "parameters": SCHEMA}}]
    message = client.chat.completions.create(model=MODEL, messages=messages, tools=tools).choices[0].message
    call = message.tool_calls[0]
    arguments = ""
    for chunk in client.chat.completions.create(model=MODEL, messages=messages, tools=tools, stream=True):
        for choice in chunk.choices:
            for piece in choice.delta.tool_calls or []:
                arguments += piece.function.arguments or ""
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    final = client.chat.completions.create(model=MODEL, messages=[*messages, message, result], tools=tools)
    return {
        "whole": whole.choices[0].message.content,
        "usage": [whole.usage.prompt_tokens, whole.usage.completion_tokens],
        "streamed": streamed,
        "tool": [call.function.name, json.loads(call.function.arguments)],
        "streamedTool": json.loads(arguments),
        "afterTool": final.choices[0].message.content,
    }


def openai_responses():
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    whole = client.responses.create(model=MODEL, input=QUESTION, store=False)
    streamed, arguments = "", None
    for event in client.responses.create(model=MODEL, input=QUESTION, store=False, stream=True):
        if event.type == "response.output_text.delta":
            streamed += event.delta
    tools = [{"type": "function", "name": "weather", "description": DESCRIPTION, "parameters": SCHEMA, "strict": False}]
    called = client.responses.create(model=MODEL, input=QUESTION, tools=tools, store=False)
    call = next(item for item in called.output if item.type == "function_call")
    for event in client.responses.create(model=MODEL, input=QUESTION, tools=tools, store=False, stream=True):
        if event.type == "response.function_call_arguments.done":
            arguments = json.loads(event.arguments)
    history = [
        {"role": "user", "content": QUESTION},
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    final = client.responses.create(model=MODEL, input=history, tools=tools, store=False)
    return {
        "whole": whole.output_text,
        "usage": [whole.usage.input_tokens, whole.usage.output_tokens],
        "streamed": streamed,
        "tool": [call.name, json.loads(call.arguments)],
        "streamedTool": arguments,
        "afterTool": final.output_text,
    }


def anthropic_messages():
    client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
    messages = [{"role": "user", "content": QUESTION}]
    whole = client.messages.create(model=MODEL, max_tokens=50, messages=messages)
    with client.messages.stream(model=MODEL, max_tokens=50, messages=messages) as stream:
        streamed = "".join(stream.text_stream)
    tools = [{"name": "weather", "description": DESCRIPTION, "input_schema": SCHEMA}]
    called = client.messages.create(model=MODEL, max_tokens=50, messages=messages, tools=tools)
    call = next(block for block in called.content if block.type == "tool_use")
    with client.messages.stream(model=MODEL, max_tokens=50, messages=messages, tools=tools) as stream:
        final = stream.get_final_message()
    streamed_call = next(block for block in final.content if block.type == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    history = [*messages, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
    after = client.messages.create(model=MODEL, max_tokens=50, messages=history, tools=tools)
    counted = client.messages.count_tokens(model=MODEL, messages=messages)
    assert counted.input_tokens > 0
    anthropic_batch(client, messages)
    return {
        "whole": whole.content[0].text,
        "usage": [whole.usage.input_tokens, whole.usage.output_tokens],
        "streamed": streamed,
        "tool": [call.name, call.input],
        "streamedTool": streamed_call.input,
        "afterTool": after.content[0].text,
    }


def anthropic_batch(client, messages):
    """A batch of messages from its making to its removal."""
    batches = client.messages.batches

    def request(name, model):
        return {"custom_id": name, "params": {"model": model, "max_tokens": 50, "messages": messages}}

    batch = batches.create(requests=[request("good", MODEL), request("bad", "p/nothing")])
    assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 2), batch
    deadline = time.monotonic() + 60
    while batch.processing_status != "ended":
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
        batch = batches.retrieve(batch.id)
    assert (batch.request_counts.succeeded, batch.request_counts.errored) == (1, 1), batch
    results = {each.custom_id: each.result for each in batches.results(batch.id)}
    assert results["good"].message.content[0].text == "Paris", results
    assert results["bad"].error.error.type == "not_found_error", results
    assert batch.id in [each.id for each in batches.list(limit=1)]
    assert batches.delete(batch.id).type == "message_batch_deleted"


def google():
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))
    whole = client.models.generate_content(model=MODEL, contents=QUESTION)
    streamed = "".join(
        chunk.text or "" for chunk in client.models.generate_content_stream(model=MODEL, contents=QUESTION)
    )
    declaration = types.FunctionDeclaration(name="weather", description=DESCRIPTION, parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declaration])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    called = client.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    call = called.function_calls[0]
    streamed_call = None
    for chunk in client.models.generate_content_stream(model=MODEL, contents=QUESTION, config=config):
        streamed_call = (chunk.function_calls or [streamed_call])[0]
    history = [
        types.Content(role="user", parts=[types.Part(text=QUESTION)]),
        called.candidates[0].content,
        types.Content(
            role="user",
            parts=[
                types.Part(
                    function_response=types.FunctionResponse(id=call.id, name="weather", response={"result": "sunny"})
                )
            ],
        ),
    ]
    after = client.models.generate_content(model=MODEL, contents=history, config=config)
    assert client.models.count_tokens(model=MODEL, contents=QUESTION).total_tokens > 0
    return {
        "whole": whole.text,
        "usage": [whole.usage_metadata.prompt_token_count, whole.usage_metadata.candidates_token_count],
        "streamed": streamed,
        "tool": [call.name, call.args],
        "streamedTool": streamed_call.args,
        "afterTool": after.text,
    }


def ollama_chat():
    client = ollama.Client(host=f"{URL}/ollama", headers={"Authorization": f"Bearer {KEY}"})
    messages = [{"role": "user", "content": QUESTION}]
    whole = client.chat(model=MODEL, messages=messages)
    streamed = "".join(chunk.message.content or "" for chunk in client.chat(model=MODEL, messages=messages, stream=True))
    tools = [{"type": "function", "function": {"name": "weather", "description": DESCRIPTION, "parameters": SCHEMA}}]
    called = client.chat(model=MODEL, messages=messages, tools=tools)
    call = called.message.tool_calls[0].function
    streamed_call = None
    for chunk in client.chat(model=MODEL, messages=messages, tools=tools, stream=True):
        for each in chunk.message.tool_calls or []:
            streamed_call = each.function
    history = [*messages, called.message, {"role": "tool", "tool_name": "weather", "content": "sunny"}]
    after = client.chat(model=MODEL, messages=history, tools=tools)
    generated = client.generate(model=MODEL, prompt=QUESTION)
    assert generated.response == "Paris", generated
    assert MODEL in [model.model for model in client.list().models]
    return {
        "whole": whole.message.content,
        "usage": [whole.prompt_eval_count, whole.eval_count],
        "streamed": streamed,
        "tool": [call.name, dict(call.arguments)],
        "streamedTool": dict(streamed_call.arguments),
        "afterTool": after.message.content,
    }


@tool
def weather(city: str) -> str:
    """Tells the weather."""
    return "sunny"


def langchain():
    model = ChatOpenAI(base_url=f"{URL}/v1", api_key=KEY, model=MODEL, max_retries=0, stream_usage=True)
    whole = model.invoke(QUESTION)
    streamed = "".join(chunk.content for chunk in model.stream(QUESTION))
    with_tools = model.bind_tools([weather])
    called = with_tools.invoke(QUESTION)
    call = called.tool_calls[0]
    gathered = None
    for chunk in with_tools.stream(QUESTION):
        gathered = chunk if gathered is None else gathered + chunk
    after = with_tools.invoke([HumanMessage(QUESTION), called, ToolMessage("sunny", tool_call_id=call["id"])])
    return {
        "whole": whole.content,
        "usage": [whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]],
        "streamed": streamed,
        "tool": [call["name"], call["args"]],
        "streamedTool": gathered.tool_calls[0]["args"],
        "afterTool": after.content,
    }


SDKS = {
    "openai": openai_chat,
    "responses": openai_responses,
    "anthropic": anthropic_messages,
    "google-genai": google,
    "ollama": ollama_chat,
    "langchain": langchain,
}

for name in sys.argv[1:] or SDKS:
    try:
        print(json.dumps({"sdk": name, **SDKS[name]()}))
    except Exception as error:  # each SDK is told on its own
        print(json.dumps({"sdk": name, "failed": f"{type(error).__name__}: {error}"}))
