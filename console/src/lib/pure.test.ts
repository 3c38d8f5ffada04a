import { describe, expect, test } from "vitest";
import { bodyOf, grow, speed, type Answer } from "./api/completions";
import { Reader } from "./api/sse";
import { json, markdown } from "./chat/export";
import { abilities, spoken } from "./chat/speech";
import { newId, type Thread } from "./chat/threads";
import { Tree, type Said } from "./chat/tree";
import { formulaAt } from "./markdown/math";
import { split } from "./markdown/split";
import { code, fill, python, shellQuote, variables } from "./playground/code";
import type { Node, Row } from "./traces/api";
import { turns } from "./traces/chat";
import { offers, take, wordAt } from "./traces/filter";
import { lines, micros } from "./traces/tree";

describe("server-sent events", () => {
  const text = ": hello\r\nid: 7\nevent: change\ndata: one\ndata: two\n\ndata:three\r\n\r\ndata: lost";
  test.each(Array.from({ length: 12 }, (_, index) => index + 1))("are whole however they were split (%i)", (size) => {
    const reader = new Reader();
    const told = [];
    for (let at = 0; at < text.length; at += size) told.push(...reader.take(text.slice(at, at + size)));
    expect(told).toEqual([
      { event: "change", data: "one\ntwo", id: "7" },
      { event: "message", data: "three", id: "7" },
    ]);
  });
});

describe("an answer", () => {
  const empty = (): Answer => ({ text: "", thoughts: "", tools: [], took: {} });
  test("grows by text, thoughts, tool calls and usage", () => {
    const answer = empty();
    for (const chunk of [
      { model: "m", choices: [{ delta: { reasoning_content: "hm" } }] },
      { choices: [{ delta: { content: "Hel" } }] },
      { choices: [{ delta: { content: "lo", tool_calls: [{ index: 0, id: "t", function: { name: "f", arguments: '{"a"' } }] } }] },
      { choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: ":1}" } }] }, finish_reason: "tool_calls" }] },
      { choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } },
    ]) grow(answer, chunk);
    expect(answer).toMatchObject({ text: "Hello", thoughts: "hm", model: "m", finish: "tool_calls", took: { input: 3, output: 4 } });
    expect(answer.tools[0]!.function).toEqual({ name: "f", arguments: '{"a":1}' });
  });
  test("has a speed once it says something", () => {
    expect(speed({ output: 11, firstToken: 500, total: 1500 })).toBe(10);
    expect(speed({ output: 1, firstToken: 500, total: 1500 })).toBeUndefined();
    expect(speed({})).toBeUndefined();
  });
  test("is asked for without what was left empty", () => {
    expect(bodyOf({ model: "m", messages: [], parameters: { temperature: 0, seed: undefined, stop: [] } as never })).toEqual({ model: "m", messages: [], temperature: 0 });
  });
});

describe("a conversation", () => {
  const said = (id: string, parent: string | null, role: Said["role"] = "user"): Said => ({ id, parent, role, content: id, created: id });
  const tree = new Tree([said("a", null), said("b", "a", "assistant"), said("c", "a", "assistant"), said("d", "b"), said("lost", "gone"), said("x", "y"), said("y", "x")]);
  test("is a tree of which one branch is looked at", () => {
    expect(tree.path("d").map((message) => message.id)).toEqual(["a", "b", "d"]);
    expect(tree.siblings(tree.byId.get("b")!).map((message) => message.id)).toEqual(["b", "c"]);
    expect(tree.end(tree.byId.get("a")!).id).toBe("c");
    expect(tree.end(tree.byId.get("b")!).id).toBe("d");
    expect(tree.path("x").length).toBe(2);
    expect(tree.path("none")).toEqual([]);
  });
  test("is exported for people and for programs", () => {
    const thread = { title: "A\n# title", created: "2026" } as Thread;
    const text = markdown(thread, tree.path("b"));
    expect(text).toContain("# A # title");
    expect(text).toContain("## You\n\na");
    expect(JSON.parse(json([{ thread, messages: tree.path("b") }]))).toMatchObject({ stead: "chat", version: 1 });
  });
  test("gives its messages ids that sort by time", () => {
    expect(newId(1)).toMatch(/^00000000-0001-7[0-9a-f]{3}-[89ab]/);
    expect(newId(1_700_000_000_000) < newId(1_700_000_000_001)).toBe(true);
  });
});

describe("what is spoken", () => {
  test.each([
    ["# Bees\n\nThey **dance**, [far](http://x/y) and `near`.", "Bees\nThey dance, far and near."],
    ["- one\n- two\n\n> said\n\n1. first", "one\ntwo\nsaid\nfirst"],
    ["Before\n```js\nlet a = 1;\n```\nafter", "Before\nafter"],
    ["Before\n```js\nnever closed", "Before"],
    ["Area $$\\pi r^2$$ of \\(r\\), at https://example.com/a?b", "Area of , at"],
    ["| a | b |\n| --- | :-: |\n| 1 | 2 |", "a b\n1 2"],
    ["2 * 3 and snake_case cost $5", "2 * 3 and snake_case cost $5"],
    ["", ""],
  ])("of %j is %j", (markdown, expected) => expect(spoken(markdown).join("¦")).toBe(expected));

  test("is cut after sentences, and nothing of it is lost", () => {
    const text = "A sentence that is spoken. ".repeat(500).trim();
    const pieces = spoken(text);
    expect(pieces.length).toBeGreaterThan(4);
    expect(pieces.every((piece) => piece.length <= 3000 && piece.endsWith("."))).toBe(true);
    expect(pieces.join(" ")).toBe(text);
    expect(spoken("x".repeat(7000)).map((piece) => piece.length)).toEqual([3000, 3000, 1000]);
  });
});

describe("who speaks and hears", () => {
  const route = (name: string, ...models: string[]) => ({ metadata: { name }, spec: { targets: models.map((model) => ({ provider: "p", model })) } }) as never;
  const provider = (...prices: object[]) => [{ metadata: { name: "p" }, spec: { prices } }] as never;
  test("is known by what models are called, and a route comes before what it leads to", () => {
    expect(abilities(["p/tts-1", "say", "p/whisper-1"], [route("say", "gpt-4o-mini-tts")], [])).toEqual({ speaks: "say", hears: "p/whisper-1" });
    expect(abilities(["chat"], [route("chat", "gpt-4o")], [])).toEqual({});
    expect(abilities(["p/Kokoro-82M", "p/gpt-4o-transcribe"], [], [])).toEqual({ speaks: "p/Kokoro-82M", hears: "p/gpt-4o-transcribe" });
    expect(abilities(["p/attsense", "p/lasting-sorbet"], [], [])).toEqual({});
  });
  test("is a route only where all that it leads to can", () => {
    expect(abilities(["mixed"], [route("mixed", "tts-1", "gpt-4o")], [])).toEqual({});
    expect(abilities(["away"], [], [])).toEqual({});
  });
  test("is known by what is charged for letters that are spoken", () => {
    expect(abilities(["own"], [route("own", "my.voice-2")], provider({ model: "my.*", perMillionCharacters: 15 }))).toEqual({ speaks: "own" });
    expect(abilities(["own"], [route("own", "myxvoice")], provider({ model: "my.*", perMillionCharacters: 15 }))).toEqual({});
  });
});

describe("Markdown", () => {
  test.each([
    ["one\n\ntwo", ["one\n\n", "two"]],
    ["- a\n\n- b\n\nafter", ["- a\n\n- b\n\n", "after"]],
    ["```\n\nx\n\n```\n\nafter", ["```\n\nx\n\n```\n\n", "after"]],
    ["```\nopen\n\nstill", ["```\nopen\n\nstill"]],
    ["$$\na\n\nb\n$$\n\nafter", ["$$\na\n\nb\n$$\n\n", "after"]],
    ["", []],
  ])("is cut into blocks: %j", (text, blocks) => {
    expect(split(text)).toEqual(blocks);
    expect(split(text).join("")).toBe(text);
  });
  test.each([
    ["$x^2$", { tex: "x^2", display: false, end: 5 }],
    ["$$x$$", { tex: "x", display: true, end: 5 }],
    ["\\(x\\)", { tex: "x", display: false, end: 5 }],
    ["\\[x\\]", { tex: "x", display: true, end: 5 }],
    ["$5 and $6", undefined],
    ["$ x $", undefined],
    ["$x", undefined],
    ["$$$$", undefined],
  ])("has formulas, and money is none: %j", (text, found) => {
    expect(formulaAt(text, 0)).toEqual(found);
  });
});

describe("code for programs", () => {
  const request = { model: "m", messages: [{ role: "user" as const, content: "it's \"so\"\n$(rm)" }], parameters: { temperature: 0, tools: [{ strict: true, x: null }] } };
  test("is quoted so that a shell and Python read what was written", () => {
    expect(shellQuote("it's")).toBe(`'it'\\''s'`);
    expect(python([true, null, { a: "b\n" }])).toBe('[\n    True,\n    None,\n    {\n        "a": "b\\n"\n    },\n]'.replace('"b\\n"\n', '"b\\n",\n'));
    for (const language of ["curl", "python", "javascript", "stead"] as const) {
      const text = code(language, request, "http://h", "research");
      expect(text).toContain("research");
      expect(text).toContain("m");
    }
    expect(code("python", request, "http://h", "default")).toContain('"strict": True');
  });
  test("variables are found and filled", () => {
    expect(variables(["{{a}} {{ b }} {{a}}", "{{c.d}} {{ 1 }}"])).toEqual(["a", "b", "c.d"]);
    expect(fill("{{a}} {{b}}", { a: "$&" })).toBe("$& {{b}}");
  });
});

describe("traces", () => {
  const node = (id: string, parent: string | undefined, start: string, durationUs: number): Node => ({ id, ...(parent ? { parent } : {}), start, durationUs, source: "application", type: "general", name: id, status: "ok" });
  const at = (ms: number) => new Date(1_700_000_000_000 + ms).toISOString();
  test("are trees in time, closed where one likes", () => {
    const nodes = [node("a", undefined, at(0), 100_000), node("b", "a", at(10), 50_000), node("c", "b", at(20), 10_000), node("d", "a", at(70), 30_000)];
    expect(lines(nodes, new Set()).map((line) => [line.node.id, line.depth, line.from, line.width])).toEqual([["a", 0, 0, 1], ["b", 1, 0.1, 0.5], ["c", 2, 0.2, 0.1], ["d", 1, 0.7, 0.3]]);
    expect(lines(nodes, new Set(["b"])).map((line) => line.node.id)).toEqual(["a", "b", "d"]);
    expect(lines([node("x", "y", at(0), 1), node("y", "x", at(0), 1)], new Set()).length).toBe(2);
    expect(micros("2026-01-01T00:00:00.123456Z") % 1_000_000).toBe(123_456);
  });
  test("of ten thousand spans are laid out within a frame or two", () => {
    const many = Array.from({ length: 10_000 }, (_, index) => node(`n${index}`, index === 0 ? undefined : `n${Math.floor((index - 1) / 3)}`, at(index), 1000));
    expect(lines(many, new Set()).length).toBe(10_000);
    const deep = Array.from({ length: 10_000 }, (_, index) => node(`n${index}`, index === 0 ? undefined : `n${index - 1}`, at(index), 1000));
    expect(lines(deep, new Set()).at(-1)?.depth).toBe(9999);
  });
  test.each([
    ["hello", [{ role: "user", text: "hello" }]],
    [{ messages: [{ role: "user", content: [{ type: "text", text: "a" }, { type: "image_url" }] }] }, [{ role: "user", text: "a\n(a picture)" }]],
    [{ system: "s", messages: [{ role: "user", content: "a" }] }, [{ role: "system", text: "s" }, { role: "user", text: "a" }]],
    [{ choices: [{ message: { role: "assistant", content: null, tool_calls: [{ function: { name: "f", arguments: "{}" } }] } }] }, [{ role: "assistant", text: "", calls: [{ name: "f", arguments: "{}" }] }]],
    [{ question: "q" }, [{ role: "user", text: "q" }]],
    [{ a: 1 }, undefined],
    [[1, 2], undefined],
    [null, undefined],
    ["", undefined],
  ])("show a conversation where there is one: %j", (value, expected) => {
    expect(turns(value)).toEqual(expected);
  });
  test("are filtered with completion", () => {
    const rows = [{ models: ["qwen 3"], user: "ada" }] as Row[];
    expect(wordAt('name:"a b" mod', 14)).toEqual({ word: "mod", start: 11 });
    expect(offers("mod", 3, rows)[0]?.text).toBe("model:");
    expect(offers("model:", 6, rows)[0]?.text).toBe('model:"qwen 3"');
    expect(offers("-status:e", 9, rows).map((offer) => offer.text)).toContain("-status:error");
    expect(offers("latency", 7, rows)[0]?.text).toBe("latency");
    expect(offers("latency>", 8, rows)[0]?.text).toBe("latency>500ms");
    expect(take("a mod b", 5, { text: "model:", about: "" })).toEqual({ text: "a model:b", cursor: 8 });
    expect(take("status:e", 8, { text: "status:error", about: "" })).toEqual({ text: "status:error ", cursor: 13 });
  });
});
