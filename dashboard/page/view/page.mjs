// The page polls nothing and stores nothing. A worker polls, stores and evaluates. The page shows
// the frames of the worker and sends the choices of the user.

import { Board } from './board.mjs';
import { listenToKeys } from './keys.mjs';
import { FamilyList } from './list.mjs';
import { NoticeBar } from './noticebar.mjs';
import { Session } from './session.mjs';
import { Shell } from './shell.mjs';

// startWorker returns the worker. A browser with Trusted Types accepts the URL only from a policy.
function startWorker(url) {
  const policy = globalThis.trustedTypes?.createPolicy('tacho', { createScriptURL: s => s });
  return new Worker(policy ? policy.createScriptURL(url) : url, { type: 'module' });
}

function startPage() {
  const meta = name => document.querySelector(`meta[name=${name}]`).content;
  const worker = startWorker(meta('worker'));
  const parts = [];
  const session = new Session(message => worker.postMessage(message), () => { for (const part of parts) part.draw(); });
  const shell = new Shell(session);
  const list = new FamilyList(session, () => shell.open('drawer', false));
  parts.push(shell, new NoticeBar(session), list, new Board(session));
  listenToKeys(session, list, shell);
  worker.onmessage = e => session.receive(e.data);
  worker.onerror = e => session.fail(`Internal error: ${e.message || 'the worker did not start'}; reload the page`);
  document.addEventListener('visibilitychange', () => session.send());
  window.addEventListener('popstate', () => session.reload());
  worker.postMessage({ type: 'start', metrics: meta('metrics'), history: meta('history') !== '', path: location.pathname });
  session.send();
  session.render();
}

startPage();
