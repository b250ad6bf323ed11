import { Engine } from './engine.mjs';
import { evaluate, familiesOf, inputsOf } from './query.mjs';

const engine = new Engine({
  post: message => postMessage(message),
  fetch: (url, options) => fetch(url, options),
  evaluate, familiesOf, inputsOf,
  now: () => Date.now(),
  later: (f, ms) => setTimeout(f, ms),
  cancel: timer => clearTimeout(timer),
});
onmessage = e => engine.receive(e.data);
