// What the clients' scripts share: a test writes calls to standard input, a line of JSON each, and reads an answer to each
// from standard output. Tokens go over it, so nothing of it is for printing.
import { createInterface } from 'node:readline';

import { elsewhere } from './only-loopback.mjs';

// What the clients' errors tell a program, under the names the clients have for it.
const fields = ['code', 'error', 'errorCode', 'errorNo', 'status', 'statusCode', 'subError'];

function describe(error) {
  const known = Object.fromEntries(
    fields.filter((name) => error[name]).map((name) => [name, String(error[name])]),
  );
  if (known.error) delete known.code; // which then says no more than the type
  const answer = error.errorResponse ?? error.cause;
  if (answer?.errorCodes) known.errorCodes = String(answer.errorCodes);
  if (answer?.error_codes) known['cause.error_codes'] = String(answer.error_codes);
  if (answer?.suberror) known['cause.suberror'] = answer.suberror;
  if (answer?.claims) known['cause.claims'] = answer.claims;
  if (error.claims) known.claims = error.claims;
  return { type: error.constructor.name, fields: known, text: `${error.message} ${error.error_description ?? ''}` };
}

// serve answers calls by the methods of the client that open makes; open itself is a call, so a test can have a new one.
export function serve(open) {
  let client;
  const lines = createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    const { method, argument } = JSON.parse(line);
    const answer = { elsewhere };
    try {
      if (method === 'open') client = await open(argument);
      else answer.result = await client[method](argument);
    } catch (error) {
      answer.error = describe(error);
    }
    console.log(JSON.stringify(answer));
  });
  console.log(JSON.stringify({ elsewhere })); // from now on lines are read
}
