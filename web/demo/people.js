/** Who is in the room, and the calls that were: the list on the left. */

import { $, avatar, icon, make } from '/elements.js';
import { word } from '/words.js';

const KINDS = { in: 'into', out: 'out-of', missed: 'phone' }; // and their pictures

/** `ring(peer)`: somebody has clicked. */
export function renderPeople({ members, me, mayRing, isThere }, ring) {
  const focused = document.activeElement?.dataset?.peer;
  $('people-count').textContent = members.length;
  $('people-list').replaceChildren(...members.map((member) => {
    const { userId, status } = member;
    const isMe = userId === me;
    const state = !isThere ? 'unknown' : isMe ? 'you' : isTalking(member) ? 'talking' : status;
    const about = make('span', { className: 'about' }, make('b', { text: userId, title: userId }), make('small', { text: word(state) }));
    const row = make('li', { className: isThere ? status : 'unknown' }, avatar(userId), about);
    if (!isMe) row.append(ringButton(userId, !mayRing, ring));
    return row;
  }));
  if (focused) document.querySelector(`[data-peer="${CSS.escape(focused)}"]`)?.focus();
}

export function renderRecent(recent, { mayRing, here }, ring) {
  const calls = recent?.all ?? [];
  $('recent-title').hidden = calls.length === 0;
  $('missed-count').hidden = !recent?.missed;
  $('missed-count').textContent = recent?.missed ?? '';
  $('missed-count').setAttribute('aria-label', word('missedCount', { count: recent?.missed ?? 0 }));
  const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
  $('recent-list').replaceChildren(...calls.map(({ peer, kind, seconds, at }) => {
    const sign = make('span', { className: `kind ${kind}` }, icon(KINDS[kind]));
    const what = [word(`${kind}Call`), clock.format(at), seconds ? lasted(seconds) : ''].filter(Boolean).join(' · ');
    const about = make('span', { className: 'about' }, make('b', { text: peer, title: peer }), make('small', { text: what }));
    const row = make('li', {}, sign, about);
    if (here.has(peer)) row.append(ringButton(peer, !mayRing, ring, 'ringBack'));
    return row;
  }));
}

export function lasted(seconds) {
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(Math.floor(seconds) % 60).padStart(2, '0')}`;
}

/** Whether a member says that they are in a call. */
function isTalking({ inCall }) { return inCall === true; }

function ringButton(peer, disabled, ring, key = 'ringName') {
  const button = make('button', { type: 'button', className: 'ring', disabled, title: word('ring'), onclick: () => ring(peer) }, icon('phone'));
  if (key === 'ringName') button.dataset.peer = peer;
  button.setAttribute('aria-label', word(key, { name: peer }));
  return button;
}
