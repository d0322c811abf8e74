import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` asks the API of a running `botbalance local`.
const API = "http://127.0.0.1:8787";

export default defineConfig({
  plugins: [react()],
  base: "/",
  build: {
    outDir: "dist",
    assetsInlineLimit: 0, // a data: address would need a wider policy
    modulePreload: { polyfill: false }, // it is an inline script, which the policy refuses
    sourcemap: false,
  },
  test: { include: ["tests/unit/**/*.test.ts"] },
  server: { proxy: { "/api": API, "/local": API, "/config.json": API } },
});
