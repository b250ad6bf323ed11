#!/usr/bin/env -S node --no-warnings
// Runs a wasip1 program in Node. For `go test -exec` and `go run -exec`.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [, , program, ...args] = process.argv;
const wasi = new WASI({
  version: "preview1",
  args: [program, ...args],
  env: { ...process.env, PWD: process.cwd() }, // current folder of the Go program
  preopens: { "/": "/" },
  returnOnExit: false, // Node 20 sometimes crashes after the return of a large program
});
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
instance.exports.memory.grow(16384); // reserve 1 GiB before the start, because Node 20 can crash if a running program grows the memory
wasi.start(instance);
