import { describe, expect, test } from "vitest";
import { loss, parseItems, said, scoreNames, scoreOf, uuid7, type Row } from "./evaluation";
import { METRICS, SORTS, definitionOf, draft, fieldsOf, ready, wantsJudge, wrongIn } from "./metric";

const ran = (experiment_id: string, ...values: number[]) => values.map((value, index) => ({ id: `${experiment_id}${index}`, experiment_id, feedback_scores: [{ name: "equals", value }] }));
const row = (first: number[], second: number[]): Row => ({ id: "i", data: {}, experiment_items: [...ran("a", ...first), ...ran("b", ...second)] });

describe("a comparison", () => {
  test("of an item's several runs takes the mean, and what was not scored is no loss", () => {
    const item = row([1, 0], [1]);
    expect(scoreOf(item.experiment_items.filter((run) => run.experiment_id === "a"), "equals")).toBe(0.5);
    expect(scoreOf([], "equals")).toBeUndefined();
    expect(scoreNames([item])).toEqual(["equals"]);
  });
  test.each([
    [[1], [0], 1],
    [[0.5], [1], 0],
    [[1], [], 0],
    [[1, 1], [1, 0], 0.5],
  ])("%j then %j loses %d", (first, second, expected) => expect(loss(row(first, second), ["a", "b"], ["equals"])).toBe(expected));
});

test("items are lines of JSON or a list, and what is wrong is named", () => {
  expect(parseItems('{"a":1}\n\n{"a":2}')).toEqual([{ a: 1 }, { a: 2 }]);
  expect(parseItems('[{"a":1}]')).toEqual([{ a: 1 }]);
  expect(() => parseItems('{"a":1}\nno')).toThrow("line 2 is no JSON: no");
  expect(() => parseItems("1")).toThrow("item 1 is no JSON object");
});

test("an answer is told whatever its form is", () => {
  expect(said({ choices: [{ message: { content: "x" } }] })).toBe("x");
  expect(said({ output: "y" })).toBe("y");
  expect(said({ a: 1 })).toBe('{"a":1}');
  expect(said(undefined)).toBe("");
});

test("an id begins with its time", () => {
  expect(uuid7(0x0123456789ab)).toMatch(/^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(uuid7()).not.toBe(uuid7());
});

describe("a metric", () => {
  test("is sent with the settings of its own sort alone, each as what it is", () => {
    const metric = { ...draft("regex"), name: " starts ", values: { pattern: "^a", expected: "left of another sort", votes: "3" } };
    expect(definitionOf(metric)).toEqual({ type: "regex", name: "starts", pattern: "^a" });
    expect(definitionOf({ ...draft("g-eval"), values: { criteria: "short", steps: "one\n\n two ", votes: "3", temperature: "0", model: "" } })).toEqual({ type: "g-eval", criteria: "short", steps: ["one", "two"], votes: 3, temperature: 0 });
    expect(definitionOf({ ...draft("pii"), values: { detectors: "email, secrets" } })).toEqual({ type: "pii", detectors: ["email", "secrets"] });
    expect(definitionOf({ ...draft("equals"), values: { caseSensitive: "false" } })).toEqual({ type: "equals", caseSensitive: false });
    expect(definitionOf({ ...draft("json-schema"), values: { schema: '{"type":"object"}' } })).toEqual({ type: "json-schema", schema: { type: "object" } });
  });
  test("waits for what it needs, and says what cannot be read", () => {
    expect(SORTS.filter((type) => !ready(draft(type)))).toEqual(["embedding-cosine", "regex", "json-schema", "latency-budget", "cost-budget", "token-budget", "g-eval", "prompt"]);
    const [schema] = fieldsOf("json-schema");
    expect([undefined, "{", "{}"].map((text) => wrongIn(schema!, text))).toEqual(["must be given", "is no JSON yet", undefined]);
    expect(ready({ ...draft("token-budget"), values: { max: "0" } })).toBe(true);
  });
  test("needs the suite's judge where it names none", () => {
    expect(wantsJudge([draft("equals"), { ...draft("hallucination"), values: { model: "chat" } }])).toBe(false);
    expect(wantsJudge([draft("hallucination")])).toBe(true);
    expect(SORTS.every((type) => METRICS[type].what.endsWith("."))).toBe(true);
  });
});
