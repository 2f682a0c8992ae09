/**
 * The demo: who is in a room, and talking with them. What it shows of calls is what tieline.js has: whatever
 * arrives, the stage is drawn from `client.calls`, so that nothing can ring or be heard that it does not show.
 */

import { connect } from '/tieline.js';
import { $ } from '/elements.js';
import { Bell, HeardMeter, MicrophoneMeter, audio } from '/meters.js';
import { renderPeople, renderRecent } from '/people.js';
import { Recent } from '/recent.js';
import { Sound, microphoneTrouble } from '/sound.js';
import { drawLevels, isPending, renderStatus, renderTiles, statusOf } from '/stage.js';
import { Tabs } from '/tabs.js';
import { Wire } from '/wire.js';
import { language, reasonWord, speak, word } from '/words.js';

const PASSING_MS = 12_000; // for a notice of what is over
const SECOND_MS = 1000; // between two looks at figures and clocks

const query = new URLSearchParams(location.search);

let client = null;
let room = '';
let user = '';
let voice = null; // talking with everybody
let last = null; // how the last call ended: {peer, reason, by}
let gone = null; // why this tab is not connected: elsewhere, replaced or closed
let recent = null;
let isMuted = false;
let bell = null;
let alarm = null; // the notification of a call
let ownMeter = null;
let lineState = 'lineReconnecting';
let notice = null; // what the page has to say: {key, values, isPassing}
let noticeClock = 0;
let toldAt = 0;
const heard = new WeakMap(); // the meter of each call
const wire = new Wire();
const tabs = new Tabs();
const sound = new Sound(() => calls().filter((call) => !isPending(call)));

/** All that there are, but those of whom we only ask whether they are in the conversation. */
const calls = () => [...client?.calls.values() ?? []].filter((call) => !(call.room && !call.incoming && isPending(call)));
const rung = () => calls().find((call) => !call.room && call.incoming && isPending(call)) ?? null;
const members = () => client?.rooms.get(room) ?? new Map();

// Coming in.

async function token() {
  const response = await fetch(`/token?${new URLSearchParams({ user, room })}`);
  if (!response.ok) throw new Error((await response.json()).msg);
  return (await response.json()).token;
}

/** Come in; instead of another tab of this browser only if that was asked for. */
async function enter(isInstead = false) {
  for (const [id, key] of [['user', 'needsName'], ['room', 'needsRoom']]) {
    $(id).value = $(id).value.trim();
    if ($(id).value) continue;
    $(id).focus();
    return notify({ key });
  }
  [user, room] = [$('user').value, $('room').value];
  notify(null);
  if (!isInstead && await tabs.has(user)) return leaveTo('elsewhere');
  let entering;
  try {
    entering = client = await connect('/ws', { token, maxCalls: 1, showCalls: true });
    recent = new Recent(client.userId, room);
    listen(entering);
    await entering.join(room);
  } catch (error) {
    entering?.close();
    return notify({ key: error.reason === 'UNREACHABLE' ? 'noEntry' : error.msg || error.message });
  }
  gone = null;
  tabs.answer((asked) => asked === client.userId && !client.closed);
  await sound.use(client);
  history.replaceState(null, '', `?${new URLSearchParams({ user: client.userId, room })}`);
  if (!navigator.mediaDevices) notify({ key: 'needsHttps' });
  showLine('lineOpen');
  showHall();
}

function listen(entered) {
  const on = (type, listener) => entered.addEventListener(type, ({ detail }) => entered === client && listener(detail));
  on('roster', ({ room: told }) => {
    if (told === room && !client.rooms.has(room)) notify({ key: 'putOut' }); // by the application: the page itself leaves none
    else if (told === room && notice?.key === 'putOut') notify(null);
    if (document.body.dataset.view === 'hall') render();
  });
  on('message', ({ data }) => {
    const text = typeof data?.text === 'string' ? data.text : JSON.stringify(data);
    notify({ key: 'says', values: { text }, isPassing: true });
  });
  on('call', begin);
  on('missed', (missed) => {
    if (!missed.call) recent.add(missed.peer, 'missed'); // one that has rung here is taken down when it ends
    render();
  });
  on('signal', (signal) => {
    const isFirst = signal.direction === 'in' && signal.cmd === 'WEBRTC_OFFER' && !client.calls.has(signal.peer);
    if (isFirst && calls().length === 0 && !voice) wire.clear(signal.peer);
    wire.add(signal, Boolean(voice));
  });
  on('state', (state) => {
    const words = { connected: 'lineOpen', checking: 'lineChecking', reconnecting: 'lineReconnecting', closed: 'lineClosed' };
    showLine(words[state]);
  });
  on('reset', () => notify({ key: 'sessionLost', isPassing: true }));
  on('sound', (state) => {
    if (state === 'blocked') notify({ key: 'blocked' });
    else if (notice?.key === 'blocked') notify(null);
  });
  entered.devices.addEventListener('switched', measure); // the stream is the same, what is in it is not
  on('closed', (error) => {
    leaveTo(error.code === 4500 ? 'replaced' : 'closed');
    if (error.code === 4502) notify({ key: 'disconnected' });
    else if (error.code !== 4500) notify({ key: 'closed', values: { reason: error.code || error.reason } });
  });
}

function showHall() {
  document.body.dataset.view = 'hall';
  $('door').hidden = true;
  $('hall').hidden = false;
  $('room-name').textContent = $('room-name').title = room;
  render();
}

/** This tab is not connected, or not any more; it says why, and offers to be. */
function leaveTo(why) {
  gone = why;
  last = null;
  showLine('lineClosed');
  showHall();
}

// Calls.

/** Ring somebody. Rung by a click or a key, so that the page may play sound from now on. */
function ring(peer) {
  if (!mayRing()) return;
  audio();
  begin(client.call(peer));
}

function mayRing() { return Boolean(client) && !gone && !voice && calls().length === 0; }

function begin(call) {
  if (heard.has(call)) return;
  if (!voice && !call.incoming) wire.clear(call.peer);
  if (calls().length <= 1 && !voice) isMuted = false;
  last = null;
  recent.see();
  watch(call);
  render();
}

function watch(call) {
  heard.set(call, new HeardMeter(call));
  sound.attend(call);
  for (const type of ['peermuted', 'quality']) call.addEventListener(type, render);
  call.addEventListener('error', ({ detail }) => {
    const trouble = !call.local && microphoneTrouble(detail);
    if (trouble) notify({ key: trouble });
  });
  call.addEventListener('state', ({ detail }) => {
    if (detail === 'connected') {
      call.connectedAt ??= performance.now();
      if (notice?.isPassing) notify(null);
    }
    if (!ownMeter) measure();
    render();
  });
  call.addEventListener('ended', ({ detail }) => end(call, detail));
}

/** Measure what others hear of us. */
function measure() {
  ownMeter?.close();
  const local = calls().find((call) => call.local)?.local;
  ownMeter = local ? new MicrophoneMeter(local) : null;
}

function end(call, { reason, by }) {
  if (!call.room) {
    const isMissed = call.incoming && by !== 'me' && !call.connectedAt && ['cancel', 'timeout', 'disconnected'].includes(reason);
    last = { peer: call.peer, reason: isMissed ? 'missed' : reason, by };
    recent.add(call.peer, isMissed ? 'missed' : call.incoming ? 'in' : 'out', call.connectedAt ? (performance.now() - call.connectedAt) / 1000 : 0);
    if (isMissed && !document.hidden && document.hasFocus()) recent.see(); // the stage says it
  }
  if (calls().length === 0) measure();
  render();
}

async function talkWithAll() {
  audio();
  if (voice) return voice.leave();
  const entered = voice = client.enterVoice(room);
  wire.clear('');
  isMuted = false;
  last = null;
  voice.addEventListener('call', ({ detail }) => begin(detail));
  voice.addEventListener('ended', () => {
    if (voice === entered) voice = null;
    render();
  });
  render();
  await entered.entered.then(render, (error) => {
    notify({ key: error.reason === 'VOICE_FULL' ? 'voiceFull' : microphoneTrouble(error) ?? 'noMicrophone' });
  });
}

function accept() {
  audio();
  rung()?.accept().catch(() => {});
}

function hangUp() {
  if (rung()) rung().decline();
  else if (voice) voice.leave();
  else for (const call of calls()) call.hangup();
}

function toggleMute() {
  if (!voice && (calls().length === 0 || rung())) return;
  isMuted = !isMuted;
  voice?.mute(isMuted);
  for (const call of calls()) call.mute(isMuted);
  render();
}

// What is shown.

/** Tell something, or, with null, nothing any more. What is over passes: by itself, or when people talk. */
function notify(told) {
  if (told !== notice) {
    clearTimeout(noticeClock);
    if (told?.isPassing) noticeClock = setTimeout(() => notify(null), PASSING_MS);
  }
  notice = told;
  $('notice-text').textContent = told ? word(told.key, told.values) : '';
  $('notice').hidden = !told;
}

function showLine(state) {
  lineState = state;
  $('connection-state').textContent = word(state);
  $('connection-state').dataset.state = state;
}

function stageState(now) {
  if (gone) return 'gone';
  if (rung()) return 'rung';
  if (voice) return now.length === 0 ? 'waiting' : 'talking';
  return now.length === 0 ? 'idle' : now.every(isPending) ? 'ringing' : 'talking';
}

function render() {
  const now = rung() ? [rung()] : calls();
  const state = stageState(now);
  $('stage').dataset.state = document.body.dataset.stage = state;
  document.title = rung() ? `☎ ${rung().peer} – Tieline` : `${recent?.missed ? `(${recent.missed}) ` : ''}${room} – Tieline`;
  renderTiles(gone ? [] : now, state === 'talking' ? { name: client.userId, isMuted } : null);
  renderStatus((call) => statusOf(call, members()));
  const here = members();
  renderPeople({ members: [...here.values()], me: client?.userId, mayRing: mayRing(), isThere: !gone }, ring);
  renderRecent(recent, { mayRing: mayRing(), here }, ring);
  renderIdle(state);
  renderControls(state);
  wire.end(now.length === 0 && !voice);
  ringBell(state);
  ringAlarm();
  renderSaid(now);
}

function renderIdle(state) {
  const isAlone = members().size < 2;
  const why = last && reasonWord(last.reason, last.peer, last, members().get(last.peer));
  const texts = {
    gone: [word(`${gone}Title`), word(`${gone}Text`)],
    waiting: [word('waiting'), word(isAlone ? 'aloneText' : 'waitingText')],
    idle: last ? [why, why.includes(last.peer) ? '' : last.peer] : [word('idleTitle'), word(isAlone ? 'aloneText' : 'idleText')],
  };
  [$('idle-title').textContent, $('idle-text').textContent] = texts[state] ?? ['', ''];
  $('again').hidden = state !== 'idle' || !last || !members().has(last.peer);
  $('here').hidden = state !== 'gone';
  $('here').querySelector('span').textContent = word(gone === 'closed' ? 'comeBack' : 'useThisTab');
}

function renderControls(state) {
  $('voice').classList.toggle('on', Boolean(voice));
  $('voice').querySelector('span').textContent = word(voice ? 'stopAll' : 'talkAll');
  $('voice').disabled = !client || Boolean(gone) || (!voice && calls().length > 0);
  $('mute').setAttribute('aria-pressed', isMuted);
  $('mute').querySelector('use').setAttribute('href', isMuted ? '#mic-off' : '#mic');
  $('mute').querySelector('span').textContent = word(isMuted ? 'unmute' : 'mute');
  $('hangup').querySelector('span').textContent = word(state === 'rung' ? 'decline' : state === 'ringing' ? 'cancel' : voice ? 'leave' : 'hangup');
  const mayNotify = 'Notification' in globalThis && Notification.permission !== 'denied';
  $('notify').hidden = !mayNotify;
  $('notify').setAttribute('aria-pressed', mayNotify && Notification.permission === 'granted');
  $('notify').querySelector('span').textContent = word(mayNotify && Notification.permission === 'granted' ? 'notified' : 'notifyMe');
  if (state === 'rung' && document.activeElement === document.body) $('accept').focus({ preventScroll: true });
}

/** For users who hear the page. */
function renderSaid(now) {
  const [call] = now;
  const said = call ? `${call.peer}: ${call.state === 'connected' ? word('connected') : statusOf(call, members())}` : last ? $('idle-title').textContent : '';
  if ($('said').textContent !== said) $('said').textContent = said;
}

function ringBell(state) {
  const notes = { rung: [659, 880], ringing: [440] }[state];
  if (bell?.state === state) return;
  bell?.stop();
  bell = notes && audio().state === 'running' ? Object.assign(new Bell(notes), { state }) : null;
}

/** Tell of a call outside of the page when nobody looks at it, if that was asked for. */
function ringAlarm() {
  const call = rung();
  if (alarm && alarm.call !== call) {
    alarm.close();
    alarm = null;
  }
  if (!call || alarm || !document.hidden) return;
  navigator.vibrate?.([200, 100, 200]);
  if (!('Notification' in globalThis) || Notification.permission !== 'granted') return;
  alarm = Object.assign(new Notification(call.peer, { body: word('called'), icon: '/icon.svg', tag: 'call', requireInteraction: true }), { call });
  alarm.onclick = () => {
    focus();
    alarm?.close();
  };
}

function draw() {
  const isTold = performance.now() - toldAt > SECOND_MS;
  if (isTold) toldAt = performance.now();
  drawLevels((call) => (call ? heard.get(call)?.level() : isMuted ? 0 : ownMeter?.level()) ?? 0, isTold);
  sound.draw(isTold);
  requestAnimationFrame(draw);
}

// What is done.

$('door').addEventListener('submit', (event) => {
  event.preventDefault();
  enter();
});
$('language').addEventListener('click', () => {
  translate(language === 'en' ? 'zh' : 'en');
  if (room) render();
});
$('invite').addEventListener('click', async () => {
  await navigator.clipboard?.writeText(`${location.origin}/?${new URLSearchParams({ room })}`).catch(() => {});
  $('invite').querySelector('span').textContent = word('copied');
  setTimeout(() => { $('invite').querySelector('span').textContent = word('invite'); }, 1500);
});
$('notify').addEventListener('click', async () => {
  await Notification.requestPermission();
  render();
});
$('dismiss').addEventListener('click', () => notify(null));
$('voice').addEventListener('click', talkWithAll);
$('again').addEventListener('click', () => ring(last.peer));
$('here').addEventListener('click', () => enter(true));
$('accept').addEventListener('click', accept);
$('mute').addEventListener('click', toggleMute);
$('hangup').addEventListener('click', hangUp);
for (const id of ['check', 'sound-open']) $(id).addEventListener('click', () => sound.open());
addEventListener('keydown', (event) => {
  if (event.target.matches?.('input, select') || event.ctrlKey || event.metaKey || event.altKey || $('sound').open) return;
  const act = { a: accept, m: toggleMute, escape: hangUp }[event.key.toLowerCase()];
  if (act) act();
});
document.addEventListener('visibilitychange', () => { if (client) ringAlarm(); });
addEventListener('focus', () => {
  recent?.see();
  if (room) render();
});

function translate(wanted) {
  speak(wanted);
  $('language').textContent = language === 'en' ? '中文' : 'English';
  $('language').lang = language === 'en' ? 'zh' : 'en';
  showLine(lineState);
  notify(notice);
  wire.translate();
  sound.translate();
}

translate(query.get('lang') ?? navigator.language);
if (query.get('room')) $('room').value = query.get('room');
if (query.get('user')) $('user').value = query.get('user');
requestAnimationFrame(draw);
setInterval(() => {
  renderStatus((call) => statusOf(call, members()));
  wire.draw(calls().filter(({ state }) => state === 'connected'));
}, SECOND_MS);
if (query.get('user') && query.get('room')) enter();
else $('user').focus();
