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
  client.devices.addEventListener('switched', ({ detail: { kind, why, device } }) => {
    console.log(kind === 'speaker', why === 'gone', device?.label);
  });
  const { microphones } = await client.devices.list();
  await client.devices.useMicrophone(microphones[0]?.deviceId);
  client.addEventListener('sound', ({ detail }) => { if (detail === 'blocked') client.playSound(); });
  const seen = client.call('cat', { video: true, audio: { noiseSuppression: false }, metadata: { about: 'tea' } });
  seen.addEventListener('track', ({ detail: { kind, stream } }) => console.log(kind === 'screen', stream.id));
  seen.addEventListener('quality', ({ detail: { quality, rttMs } }) => console.log(quality === 'lost', rttMs?.toFixed()));
  seen.addEventListener('message', ({ detail }) => console.log(typeof detail === 'string' ? detail : detail.byteLength));
  const camera: MediaStream | null = await seen.video({ facingMode: 'user' });
  await seen.screen();
  await seen.send(new Uint8Array(3));
  seen.volume = camera ? 0.5 : 1;
  const voice = client.enterVoice('tea', { video: true });
  await voice.screen();
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
  call.addEventListener('speeking', () => {});
  // @ts-expect-error
  call.addEventListener('quality', ({ detail }) => console.log(detail.quality === 'bad'));
  // @ts-expect-error
  call.addEventListener('track', ({ detail }) => console.log(detail.kind === 'video'));
  // @ts-expect-error
  client.devices.addEventListener('devicechange', () => {});
  // @ts-expect-error
  call.send({ about: 'tea' });
  // @ts-expect-error
  console.log(call.metadata.about);
  // @ts-expect-error
  call.metadata = 'tea';
  // @ts-expect-error
  connect('/ws');
  // @ts-expect-error
  connect('/ws', { token: async () => ({ token: 'a' }) });
  // @ts-expect-error
  client.call();
}
