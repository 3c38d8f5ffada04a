"""Datasets, evaluate(), prompts and queues by Opik's own SDK. Prints, as its last line, what came back as JSON."""

import json

import opik
from opik import Opik
from opik.evaluation import evaluate
from opik.evaluation.metrics import Contains, Equals
from opik.rest_api.core.api_error import ApiError

PROJECT = "records"
client = Opik(project_name=PROJECT)
found = {"sdk": opik.__version__}


def refused(call):
    try:
        call()
    except ApiError as error:
        return error.status_code
    return None


# What is inserted comes back, and what is inserted again is not there twice.
dataset = client.create_dataset("questions", description="what people ask")
dataset.insert([{"question": f"q{n}", "answer": n} for n in range(2_500)])
dataset.insert([{"question": "q0", "answer": 0}])
items = dataset.get_items()
found["inserted"] = [len(items), len({item["question"] for item in items})]
chosen = {item["question"]: item for item in items}
dataset.update([{**chosen["q7"], "answer": "seven"}])
dataset.delete([chosen["q8"]["id"]])
fresh = client.get_dataset("questions")
answers = {item["question"]: item["answer"] for item in fresh.get_items()}
found["changed"] = [len(answers), answers["q7"], "q8" in answers, fresh.dataset_items_count]
view = fresh.get_version_view("v1")
old = {item["question"]: item["answer"] for item in view.get_items()}
found["old"] = [len(old), old["q7"], view.version_name]
found["datasets"] = [dataset.name for dataset in client.get_datasets(project_name=PROJECT)]
found["twice"] = refused(lambda: client.create_dataset("questions"))

# An experiment: what came of each item, how it was scored, and what that comes to.
small = client.create_dataset("sums")
small.insert([{"input": f"{n}+{n}", "expected": str(2 * n)} for n in range(4)])
result = evaluate(
    dataset=small,
    task=lambda item: {"output": "4", "reference": item["expected"]},
    scoring_metrics=[Equals(name="equals"), Contains(name="contains")],
    experiment_name="always four",
    experiment_config={"model": "m"},
    project_name=PROJECT,
    verbose=0,
    task_threads=2,
)
client.flush()
experiment = client.get_experiment_by_id(result.experiment_id)
data = experiment.get_experiment_data()
found["scores"] = {score.name: score.value for score in data.feedback_scores}
found["experiment"] = [data.name, data.trace_count, data.dataset_name, data.status, data.metadata["model"]]
rows = experiment.get_items()
found["rows"] = sorted(
    [row.dataset_item_data["expected"], row.evaluation_task_output["output"], score["value"]]
    for row in rows
    for score in row.feedback_scores
    if score["name"] == "equals"
)
found["named"] = [one.name for one in client.get_experiments_by_name("always four", project_name=PROJECT)]
found["ofDataset"] = [one.name for one in client.get_dataset_experiments("sums", project_name=PROJECT)]

# Prompts: a version for each change, found by commit.
one = client.create_prompt("greeting", "Hi {{name}}", metadata={"v": 1})
same = client.create_prompt("greeting", "Hi {{name}}", metadata={"v": 1})
two = client.create_prompt("greeting", "Hello {{name}}", metadata={"v": 1})
chat = client.create_chat_prompt("talk", [{"role": "user", "content": "hi {{x}}"}])
found["prompts"] = [
    same.commit == one.commit,
    client.get_prompt("greeting").format(name="Ada"),
    client.get_prompt("greeting", commit=one.commit).format(name="Ada"),
    [version.commit for version in client.get_prompt_history("greeting")] == [two.commit, one.commit],
    client.get_prompt("absent"),
    client.get_chat_prompt("talk").format({"x": "Bob"})[0]["content"],
    sorted(prompt.name for prompt in client.search_prompts()),
]

client.delete_dataset("questions", project_name=PROJECT)
found["deleted"] = refused(
    lambda: client.rest_client.datasets.get_dataset_by_identifier(dataset_name="questions", project_name=PROJECT)
)
print(json.dumps(found))
