import { describe, expect, test } from "vitest";
import { loss, parseItems, said, scoreNames, scoreOf, uuid7, type Row } from "./evaluation";

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
