import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import tailwindcss from "@tailwindcss/vite";
import { defineConfig, type Plugin } from "vite";

/** Files that are worth compressing. */
const TEXT = /\.(m?js|css|html|svg|json)$/;
/** Below this many bytes, nothing is saved. */
const SMALLEST = 1024;

/** Lays a `.br` beside every text file of the output, so that the server compresses nothing. */
function brotli(): Plugin {
  const walk = (folder: string): string[] =>
    readdirSync(folder, { withFileTypes: true })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => (entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)]));
  return {
    name: "stead-brotli",
    apply: "build",
    writeBundle(options) {
      for (const path of walk(options.dir ?? "dist")) {
        if (!TEXT.test(path) || statSync(path).size < SMALLEST) continue;
        const text = readFileSync(path);
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: text.length };
        writeFileSync(`${path}.br`, brotliCompressSync(text, { params }));
      }
    },
  };
}

/** KaTeX names three forms of every font; all browsers that run this take the smallest. */
function woff2Only(): Plugin {
  return {
    name: "stead-woff2-only",
    enforce: "pre",
    transform(code, id) {
      if (!/katex(\.min)?\.css/.test(id)) return undefined;
      return { code: code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\([^)]*\)/g, ""), map: null };
    },
  };
}

const server = process.env["STEAD_SERVER"] ?? "http://127.0.0.1:7832";

export default defineConfig({
  plugins: [woff2Only(), tailwindcss(), svelte(), brotli()],
  resolve: { alias: { $lib: "/src/lib", $pages: "/src/pages" } },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    // Names without hashes keep the committed output's differences small; the server's ETags do what hashes would.
    rolldownOptions: {
      output: {
        entryFileNames: "assets/[name].js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  server: {
    // `npm run dev` beside a running server; cookies and the Origin header are then the server's own.
    proxy: Object.fromEntries(
      ["/api", "/k8s", "/v1", "/opik", "/version"].map((path) => [
        path,
        { target: server, changeOrigin: true, headers: { origin: server } },
      ]),
    ),
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
} as never);
