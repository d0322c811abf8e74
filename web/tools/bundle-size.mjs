// What a first visit loads, compressed, without the chart: fails above the limit.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 150_000; // bytes
const DIST = new URL("../dist/", import.meta.url);

const files = readdirSync(DIST, { recursive: true, withFileTypes: true })
  .filter((file) => file.isFile() && !file.name.startsWith("TimeChart"))
  .map((file) => `${file.parentPath}/${file.name}`);
const bytes = files.reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0);
console.log(`The dashboard is ${(bytes / 1000).toFixed(1)} kB gzip before its chart; the limit is ${LIMIT / 1000} kB.`);
process.exit(bytes <= LIMIT ? 0 : 1);
