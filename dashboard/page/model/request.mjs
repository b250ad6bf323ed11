// Requests of a poll, with errors that name their cause.

const TIMEOUT = 30; // seconds that a response can take

// A PollError is a failure of a poll that is no bug of the page. The message is its cause.
export class PollError extends Error {}

// request returns the response to a GET. It throws a PollError for a failure and for a
// status other than 200.
export async function request(fetch, url) {
  const response = await caused(fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(1000 * TIMEOUT) }));
  if (response.status !== 200) throw new PollError(`status ${response.status} of ${url.split('?')[0]}`);
  return response;
}

// caused awaits a response or its body.
export async function caused(promise) {
  try {
    return await promise;
  } catch (e) {
    if (e?.name === 'TimeoutError') throw new PollError(`no response within ${TIMEOUT} s`);
    throw new PollError('connection refused or the server is gone');
  }
}

// beginning returns the begin of a response that is not as expected, for an error.
export function beginning(text) {
  if (/^\s*<(!doctype|html|head|body)/i.test(text)) return 'the response is an HTML page';
  return text.trim() === '' ? 'the response is empty' : `the response begins with ${JSON.stringify(text.trim().slice(0, 40))}`;
}
