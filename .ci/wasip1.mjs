#!/usr/bin/env -S node --no-warnings
// Runs a wasip1 program under Node, as `go test -exec` and `go run -exec` want it.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [, , program, ...args] = process.argv;
const wasi = new WASI({
  version: "preview1",
  args: [program, ...args],
  env: { ...process.env, PWD: process.cwd() }, // where Go begins
  preopens: { "/": "/" },
  returnOnExit: false, // Node 20 now and then crashes when it takes a program of this size down itself
});
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
instance.exports.memory.grow(16384); // 1 GiB now, none of it touched: Node 20 can crash when a running program grows it
wasi.start(instance);
