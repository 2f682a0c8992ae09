/** The demo: who is in a room, and talking with them. What it shows of calls comes from tieline.js alone. */

import { connect } from '/tieline.js';
import { Bell, HeardMeter, MicrophoneMeter, Plot, audio } from '/meters.js';
import { Timeline } from '/timeline.js';
import { language, reasonWord, speak, word } from '/words.js';

const PASSING_MS = 12_000; // for a notice of what is over

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

let client = null;
let room = '';
let voice = null; // talking with everybody, or
let call = null; // with one person, or
let last = null; // with nobody any more
let isMuted = false;
let bell = null;
let ownLevel = null;
let lineState = 'lineReconnecting';
let notice = null; // what the page has to say: {key, values, isPassing}
let noticeClock = 0;
const levels = new Map(); // by call
const plot = new Plot($('plot'));
const timeline = new Timeline($('timeline'));

const calls = () => (voice ? voice.calls : call ? [call] : []).filter(({ state }) => state !== 'ended');

// Coming in.

async function token() {
  const response = await fetch(`/token?${new URLSearchParams({ user: $('user').value, room })}`);
  if (!response.ok) throw new Error((await response.json()).msg);
  return (await response.json()).token;
}

async function enter() {
  for (const [id, key] of [['user', 'needsName'], ['room', 'needsRoom']]) {
    $(id).value = $(id).value.trim();
    if ($(id).value) continue;
    $(id).focus();
    return notify({ key });
  }
  room = $('room').value;
  notify(null);
  try {
    client = await connect('/ws', { token, maxCalls: 1 });
    await client.join(room);
  } catch (error) {
    return notify({ key: error.reason === 'UNREACHABLE' ? 'noEntry' : error.message });
  }
  client.addEventListener('roster', renderPeople);
  client.addEventListener('call', ({ detail }) => follow(detail));
  client.addEventListener('signal', ({ detail }) => {
    const isFirst = detail.direction === 'in' && detail.cmd === 'WEBRTC_OFFER' && !client.calls.has(detail.peer);
    if (isFirst && !call && !voice) reset(detail.peer);
    timeline.add(detail, Boolean(voice));
  });
  client.addEventListener('reconnecting', () => showLine('lineReconnecting'));
  for (const type of ['resumed', 'reset']) client.addEventListener(type, () => showLine('lineOpen'));
  client.addEventListener('reset', () => notify({ key: 'sessionLost', isPassing: true }));
  client.addEventListener('closed', ({ detail }) => {
    showLine('lineClosed');
    notify(detail.code === 4500 ? { key: 'replaced' } : { key: 'closed', values: { reason: detail.msg || detail.code } });
  });
  history.replaceState(null, '', `?${new URLSearchParams({ user: client.userId, room })}`);
  document.body.dataset.view = 'hall';
  $('door').hidden = true;
  $('hall').hidden = false;
  $('room-name').textContent = $('room-name').title = room;
  if (!navigator.mediaDevices) notify({ key: 'needsHttps' });
  showLine('lineOpen');
  render();
}

// Calls.

/** Ring somebody. Rung by a click or a key, so that the page may play sound from now on. */
function ring(peer) {
  audio();
  follow(client.call(peer));
}

function follow(started) {
  if (call === started) return;
  call = started;
  begin(started);
}

function begin(started) {
  if (!voice && !started.incoming) reset(started.peer);
  last = null;
  watch(started);
  render();
}

/** Begin to show another call: with `peer`, or, if that is empty, with everybody. */
function reset(peer) {
  timeline.clear(peer);
  plot.clear();
  showPath('');
  for (const figure of ['rtt', 'jitter', 'lost']) $(figure).textContent = '–';
  isMuted = false;
}

function watch(watched) {
  watched.addEventListener('state', render);
  watched.addEventListener('track', () => {
    levels.set(watched, new HeardMeter(watched));
    watched.mute(isMuted);
  });
  watched.addEventListener('error', ({ detail }) => {
    if (detail.name === 'NotAllowedError' && watched.audio) askForClick(watched);
    else if (!watched.local) notify({ key: 'noMicrophone', isPassing: true });
  });
  watched.addEventListener('state', ({ detail }) => {
    if (detail === 'connected') {
      watched.connectedAt ??= performance.now();
      if (notice?.isPassing) notify(null);
    }
    if (watched.local && !ownLevel) ownLevel = new MicrophoneMeter(watched.local);
  });
  watched.addEventListener('ended', ({ detail }) => {
    levels.delete(watched);
    if (call === watched) {
      call = null;
      const isMissed = watched.incoming && detail.by !== 'me' && ['cancel', 'timeout'].includes(detail.reason);
      last = { peer: watched.peer, reason: isMissed ? 'missed' : detail.reason };
    }
    if (calls().length === 0 && ownLevel) {
      ownLevel.close();
      ownLevel = null;
    }
    render();
  });
}

async function talkWithAll() {
  audio();
  if (voice) return voice.leave();
  const entered = voice = client.enterVoice(room);
  reset('');
  voice.addEventListener('call', ({ detail }) => begin(detail));
  voice.addEventListener('ended', () => {
    voice = null;
    render();
  });
  render();
  await entered.entered.catch((error) => notify({ key: error.reason === 'VOICE_FULL' ? 'voiceFull' : 'noMicrophone', isPassing: true }));
}

function accept() {
  audio();
  if (call?.incoming && call.state === 'ringing') call.accept().catch(() => {});
}

function hangUp() {
  if (voice) voice.leave();
  else call?.hangup();
}

function toggleMute() {
  if (calls().length === 0) return;
  isMuted = !isMuted;
  for (const one of calls()) one.mute(isMuted);
  render();
}

function askForClick(blocked) {
  notify({ key: 'blocked' });
  const play = () => {
    blocked.audio?.play().catch(() => {});
    audio();
    if (notice?.key === 'blocked') notify(null);
  };
  addEventListener('pointerdown', play, { once: true });
  addEventListener('keydown', play, { once: true });
}

// What is shown.

function make(tag, { text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

function avatar(user) {
  const face = make('span', { className: 'avatar', text: [...user][0]?.toUpperCase() ?? '?', ariaHidden: 'true' });
  const hue = [...user].reduce((sum, letter) => (sum + letter.codePointAt(0) * 137.5) % 360, 40); // by the golden angle
  face.style.setProperty('--hue', hue);
  return face;
}

function icon(name) {
  const picture = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#${name}`);
  picture.append(use);
  return picture;
}

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

function renderPeople() {
  const members = [...(client?.rooms.get(room)?.values() ?? [])];
  const isBusy = Boolean(call || voice);
  const focused = document.activeElement?.dataset?.peer;
  $('people-count').textContent = members.length;
  $('people-list').replaceChildren(...members.map(({ userId, status }) => {
    const isMe = userId === client.userId;
    const about = make('span', { className: 'about' },
      make('b', { text: userId, title: userId }),
      make('small', { text: isMe ? word('you') : word(status) }));
    const row = make('li', { className: status }, avatar(userId), about);
    if (!isMe) {
      const button = make('button', { type: 'button', className: 'ring', disabled: isBusy, title: word('ring'), onclick: () => ring(userId) }, icon('phone'));
      button.dataset.peer = userId;
      button.setAttribute('aria-label', word('ringName', { name: userId }));
      row.append(button);
    }
    return row;
  }));
  if (focused) document.querySelector(`[data-peer="${CSS.escape(focused)}"]`)?.focus();
  renderIdle(members.length < 2);
}

function renderIdle(isAlone) {
  const why = last && reasonWord(last.reason, last.peer);
  const isNamed = why !== (last && reasonWord(last.reason, '')); // in the sentence itself
  $('idle-title').textContent = last ? why : voice ? word('waiting') : word('idleTitle');
  $('idle-text').textContent = last ? (isNamed ? '' : last.peer) : word(isAlone ? 'aloneText' : 'idleText');
  $('again').hidden = !last || !client?.rooms.get(room)?.has(last.peer);
}

function render() {
  if (!client) return;
  const now = calls();
  const isRung = !voice && call?.incoming && call.state === 'ringing';
  const state = now.length === 0 ? (voice ? 'waiting' : 'idle') : isRung ? 'rung' : call?.state === 'ringing' ? 'ringing' : 'talking';
  $('stage').dataset.state = state;
  document.title = isRung ? `☎ ${call.peer} – Tieline` : `${room} – Tieline`;
  renderTiles(now);
  renderMeters(now);
  renderPeople();
  const isOver = now.length === 0 && !voice && $('path-name').dataset.path; // its figures stay, to be looked at
  $('wire-title').dataset.word = isOver ? 'lastConnection' : 'connection';
  $('wire-title').textContent = word($('wire-title').dataset.word);
  $('voice').classList.toggle('on', Boolean(voice));
  $('voice').querySelector('span').textContent = word(voice ? 'stopAll' : 'talkAll');
  $('voice').disabled = Boolean(call);
  $('mute').setAttribute('aria-pressed', isMuted);
  $('mute').querySelector('use').setAttribute('href', isMuted ? '#mic-off' : '#mic');
  $('mute').querySelector('span').textContent = word(isMuted ? 'unmute' : 'mute');
  $('hangup').querySelector('span').textContent = word(isRung ? 'decline' : state === 'ringing' ? 'cancel' : voice ? 'leave' : 'hangup');
  if (isRung && document.activeElement === document.body) $('accept').focus({ preventScroll: true });
  ringBell(state);
  const said = call ? `${call.peer}: ${word(call.state === 'ringing' ? (call.incoming ? 'called' : 'calling') : call.state)}` : last ? $('idle-title').textContent : '';
  if ($('said').textContent !== said) $('said').textContent = said; // for users who hear the page
}

function ringBell(state) {
  const notes = { rung: [659, 880], ringing: [440] }[state];
  if (bell?.state === state) return;
  bell?.stop();
  bell = notes && audio().state === 'running' ? Object.assign(new Bell(notes), { state }) : null;
}

function renderTiles(now) {
  $('tiles').dataset.count = now.length;
  $('tiles').replaceChildren(...now.map((one) => {
    const tile = make('figure', { className: `tile ${one.state}` }, avatar(one.peer), make('figcaption', {},
      make('b', { text: one.peer, title: one.peer }), make('span', { className: 'status', text: statusOf(one) })));
    one.tile = tile;
    return tile;
  }));
}

function statusOf(one) {
  if (one.state === 'ringing') return word(one.incoming ? 'called' : 'calling');
  if (one.state !== 'connected') return word(one.state);
  const seconds = Math.floor((performance.now() - one.connectedAt) / 1000) || 0;
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}

function renderMeters(now) {
  const talking = now.filter(({ state }) => state === 'connected' || state === 'interrupted');
  const meter = (name, source) => {
    const bar = make('div', { className: 'meter', role: 'meter' }, make('i'));
    bar.setAttribute('aria-label', name);
    return Object.assign(make('div', { className: 'meter-line' }, make('span', { text: name, title: name }), bar), { source });
  };
  $('meters').replaceChildren(...(talking.length ? [meter(word('you'), null), ...talking.map((one) => meter(one.peer, one))] : []));
}

function drawLevels() {
  for (const meter of $('meters').children) {
    const measured = meter.source ? levels.get(meter.source) : ownLevel;
    const level = meter.source === null && isMuted ? 0 : measured?.level() ?? 0;
    meter.querySelector('i').style.setProperty('--level', level.toFixed(3));
    meter.source?.tile?.style.setProperty('--level', level.toFixed(3));
  }
  requestAnimationFrame(drawLevels);
}

/** Show what the sound passes through: a type of candidate, or nothing. */
function showPath(path) {
  $('path').dataset.path = path;
  $('path-name').dataset.path = path;
  namePath();
}

function namePath() {
  const { path } = $('path-name').dataset;
  $('path-name').textContent = path ? `${word(path)} (${path})` : '–';
}

async function drawFigures() {
  const now = calls().filter(({ state }) => state === 'connected');
  if (calls().length === 0) $('path').dataset.path = '';
  for (const one of calls()) if (one.tile) one.tile.querySelector('.status').textContent = statusOf(one);
  if (now.length === 0) return;
  const all = await Promise.all(now.map((one) => one.stats()));
  if (now.some(({ state }) => state !== 'connected')) return; // it may be another's figures that are shown now
  const worst = (key) => Math.max(...all.map((stats) => stats[key] ?? NaN).filter(Number.isFinite));
  const [rtt, jitter] = [worst('rttMs'), worst('jitterMs')];
  const [received, lost] = ['received', 'lost'].map((key) => all.reduce((sum, stats) => sum + stats[key], 0));
  const path = ['relay', 'srflx', 'prflx', 'host'].find((type) => all.some((stats) => stats.path === type));
  const inMs = (value) => (Number.isFinite(value) ? `${value < 10 ? value.toFixed(1) : Math.round(value)} ms` : '–');
  $('rtt').textContent = inMs(rtt);
  $('jitter').textContent = inMs(jitter);
  $('lost').textContent = `${((100 * lost) / Math.max(1, received + lost)).toFixed(1)} %`;
  showPath(path ?? '');
  plot.add({ rtt, jitter });
}

// What is done.

$('door').addEventListener('submit', (event) => {
  event.preventDefault();
  enter();
});
$('language').addEventListener('click', () => {
  translate(language === 'en' ? 'zh' : 'en');
  render();
});
$('invite').addEventListener('click', async () => {
  await navigator.clipboard.writeText(`${location.origin}/?${new URLSearchParams({ room })}`).catch(() => {});
  $('invite').querySelector('span').textContent = word('copied');
  setTimeout(() => { $('invite').querySelector('span').textContent = word('invite'); }, 1500);
});
$('dismiss').addEventListener('click', () => notify(null));
$('voice').addEventListener('click', talkWithAll);
$('again').addEventListener('click', () => ring(last.peer));
$('accept').addEventListener('click', accept);
$('mute').addEventListener('click', toggleMute);
$('hangup').addEventListener('click', hangUp);
addEventListener('keydown', (event) => {
  if (event.target.matches?.('input') || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = { a: accept, m: toggleMute, escape: hangUp }[event.key.toLowerCase()];
  if (act) act();
});

function translate(wanted) {
  speak(wanted);
  $('language').textContent = language === 'en' ? '中文' : 'English';
  $('language').lang = language === 'en' ? 'zh' : 'en';
  showLine(lineState);
  notify(notice);
  namePath();
}

translate(query.get('lang') ?? navigator.language);
if (query.get('room')) $('room').value = query.get('room');
if (query.get('user')) $('user').value = query.get('user');
requestAnimationFrame(drawLevels);
setInterval(drawFigures, 1000);
if (query.get('user') && query.get('room')) enter();
else $('user').focus();
