import { expect, test } from "vitest";
import type { Turn } from "$lib/traces/chat";
import { added, preview } from "./thread";

const turn = (role: string, text: string): Turn => ({ role, text });

test("of a history that is sent anew only what is new is shown", () => {
  const said = [turn("user", "Hello"), turn("assistant", "Hi")];
  expect(added([...said, turn("user", "More")], said)).toEqual([turn("user", "More")]);
  expect(added([turn("user", "More")], said)).toEqual([turn("user", "More")]);
  expect(added([turn("user", "Hello")], [])).toEqual([turn("user", "Hello")]);
  expect(added([turn("user", "Hello"), turn("user", "Other")], said)).toEqual([turn("user", "Hello"), turn("user", "Other")]);
});

test("a message is one line, whatever its form", () => {
  expect(preview({ messages: [turn("system", "x"), { role: "user", content: "How\nare you?" }] }, "user")).toBe("How are you?");
  expect(preview({ choices: [{ message: { role: "assistant", content: "Fine" } }] }, "assistant")).toBe("Fine");
  expect(preview({ a: 1, b: 2, c: 3, d: 4 }, "user")).toBe('{"a":1,"b":2,"c":3,"d":4}');
  expect(preview(undefined, "user")).toBe("");
});
