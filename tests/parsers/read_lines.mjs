// Reads frames as a browser does: a line of base64 for each, and a line of JSON for what it says.
import { createInterface } from 'node:readline';

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const { requestId, module, cmd, data } = JSON.parse(Buffer.from(line, 'base64').toString());
    const { from, to, room } = data ?? {};
    answer = { requestId, module, cmd, from, to, room };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
