// What `tsc --strict` takes of programs that use tieline.js, and, behind each @ts-expect-error, what it does not.

import { connect, TielineError, type Call, type Client, type ClientState, type EndReason } from '../../../web/tieline.js';

declare module '../../../web/tieline.js' {
  interface OwnReasons { 'out-of-ink': true }
}

export async function right(): Promise<void> {
  const client: Client = await connect(['/ws'], { token: async () => 'a' });
  const target: EventTarget = client;
  const onCall = (event: CustomEvent<Call>): void => { event.detail.accept(); };
  client.addEventListener('call', onCall);
  client.removeEventListener('call', onCall);
  client.addEventListener('state', ({ detail }) => { const state: ClientState = detail; console.log(state, target); });
  client.addEventListener('closed', { handleEvent: ({ detail }) => console.log(detail.reason === 'CLOSED', detail.code) });
  const call = client.call('bo');
  call.addEventListener('ended', ({ detail: { reason, by } }) => {
    const why: EndReason = reason;
    console.log(why === 'no-microphone', reason === 'out-of-ink', by === 'me', reason === 'TARGET_OFFLINE');
  }, { once: true });
  await call.hangup('out-of-ink');
  await call.hangup('a word that nobody compares');
  if (call.muted) call.mute(false);
  call.addEventListener('peermuted', ({ detail }) => console.log(detail === call.peerMuted, call.state === 'waiting'));
  client.addEventListener('missed', ({ detail: { peer, reason, at } }) => console.log(peer, reason === 'busy', at + 1));
  const voice = client.enterVoice('tea');
  voice.addEventListener('ended', ({ detail }) => console.log(detail?.reason === 'VOICE_FULL'));
  await voice.entered.catch((error) => error instanceof TielineError && error.fate === 'ended');
}

export function wrong(client: Client, call: Call, error: TielineError): void {
  const onCall = (event: CustomEvent<Call>): void => console.log(event);
  // @ts-expect-error
  client.addEventListener('cal', onCall);
  // @ts-expect-error
  client.removeEventListener('rooster', onCall);
  // @ts-expect-error
  client.addEventListener('roster', onCall);
  // @ts-expect-error
  client.removeEventListener('roster', onCall);
  // @ts-expect-error
  call.addEventListener('end', () => {});
  // @ts-expect-error
  console.log(call.reason === 'hangpu');
  // @ts-expect-error
  call.addEventListener('ended', ({ detail }) => console.log(detail.reason === 'no-micro'));
  // @ts-expect-error
  console.log(call.state === 'connectet');
  // @ts-expect-error
  console.log(call.state === 'callling');
  // @ts-expect-error
  console.log(client.state === 'conected');
  // @ts-expect-error
  console.log(error.reason === 'UNREACHEABLE');
  // @ts-expect-error
  connect('/ws');
  // @ts-expect-error
  connect('/ws', { token: async () => ({ token: 'a' }) });
  // @ts-expect-error
  client.call();
}
