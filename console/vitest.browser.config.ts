import { defineConfig } from "vitest/config";

/** Tests in a browser against the real program, one after another: the machine is small and the model is real. */
export default defineConfig({
  test: {
    // `just screenshots` makes pictures and `just bench console` measures instead of testing.
    include: process.env["SCREENSHOTS"] ? ["tests/screenshots.ts"] : process.env["BENCH"] ? ["tests/bench/console.ts"] : ["tests/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 240_000,
    passWithNoTests: true,
  },
});
